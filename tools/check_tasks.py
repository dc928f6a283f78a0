#!/usr/bin/env python3
"""Compares `stonechat eval` with lm-evaluation-harness, question by question.

Run by hand, in a virtual environment with lm-eval==0.4.13, torch, transformers, gguf and tokenizers:

    tools/check_tasks.py MODEL.gguf arc_c=test.jsonl hellaswag=validation.jsonl ceval=DIR [--limit 200]

The harness builds its own prompts from its own task files, given the same records; transformers computes in FP32 with
the weights of the GGUF file. Prompts must be equal; what is reported is on how many questions both choose the same, and
how far log-likelihoods are apart. Shots are the first of --shots-file, for C-Eval of the dev files. HellaSwag records
without an activity label are asked by their context alone, on both sides.
"""
import argparse
import csv
import json
import pathlib
import subprocess
import sys
import tempfile

import datasets
import lm_eval.tasks
import numpy as np
import torch
import transformers
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks._yaml_loader import load_yaml

ROOT = pathlib.Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests/support")]
from make_golden import load  # noqa: E402
from reference_tokenizer import reference_tokenizer  # noqa: E402

HARNESS = pathlib.Path(lm_eval.tasks.__file__).parent
YAML = {
    "arc_c": "arc/arc_challenge.yaml",
    "arc_easy": "arc/arc_easy.yaml",
    "hellaswag": "hellaswag/hellaswag.yaml",
    "piqa": "piqa/piqa.yaml",
    "winogrande": "winogrande/default.yaml",
}


def records(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file)) if str(path).endswith(".csv") else [json.loads(line) for line in file if line.strip()]


def unlabelled(config):
    """HellaSwag's own cleaning for records that have a context and nothing else."""
    preprocess = config["process_docs"].__globals__["preprocess"]

    def process(docs):
        return docs.map(lambda doc: {"query": preprocess(doc["ctx"]), "choices": [preprocess(text) for text in doc["endings"]]})

    return process


def harness_task(yaml, questions, examples, shots):
    """The harness's task with our records in place of its data set. Examples: shots, the first of them."""
    config = dict(load_yaml(HARNESS / yaml))
    if yaml == YAML["hellaswag"]:
        fill = {"activity_label": "", "ctx_a": "", "ctx_b": ""}
        if "activity_label" not in questions[0]:
            config["process_docs"] = unlabelled(config)
        questions, examples = ([{**fill, **doc} for doc in docs] for docs in (questions, examples))
    split = {"questions": datasets.Dataset.from_list(questions), "examples": datasets.Dataset.from_list(examples or questions)}
    for key in ("tag", "group", "training_split", "validation_split", "dataset_name"):
        config.pop(key, None)
    config.update(
        custom_dataset=lambda **_: split, test_split="questions", fewshot_split="examples", num_fewshot=shots,
        fewshot_config={"sampler": "first_n"},
    )
    return ConfigurableTask(config=config)


def harness_tasks(name, data, limit, examples, shots):
    """(task, questions asked) of each data file, in stonechat's order."""
    if name != "ceval":
        return [(harness_task(YAML[name], records(data), examples, shots), limit)]
    tasks = []
    for path in sorted((pathlib.Path(data) / "val").glob("*_val.csv")):
        subject = path.name.removesuffix("_val.csv")
        dev = records(pathlib.Path(data) / "dev" / f"{subject}_dev.csv") if shots else []
        tasks.append((harness_task(f"ceval/ceval-valid_{subject}.yaml", records(path), dev, shots), limit))
    return tasks


def ask_harness(model, tasks):
    """For each question its (context, continuation) pairs, log-likelihoods and the harness's metrics."""
    requests = []
    for task, limit in tasks:
        task.build_all_requests(limit=limit, rank=0, world_size=1)
        requests.append(task.instances)
    answers = iter(model.loglikelihood([request for group in requests for request in group]))
    questions = []
    for (task, _), group in zip(tasks, requests, strict=True):
        for request in group:
            if request.idx == 0:
                questions.append({"task": task, "doc": request.doc, "texts": [], "results": []})
            questions[-1]["texts"].append(request.args)
            questions[-1]["results"].append(next(answers))
    for question in questions:
        question["log_likelihoods"] = [float(value) for value, _ in question["results"]]
        question["metrics"] = question.pop("task").process_results(question["doc"], question.pop("results"))
    return questions


def ask_stonechat(program, model, name, data, limit, flags):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "samples.jsonl"
        words = [program, "eval", name, model, "--data", data, "--limit", limit, "--samples-out", out, "--json", *flags]
        subprocess.run(list(map(str, words)), check=True, stdout=subprocess.PIPE)
        return [json.loads(line) for line in out.read_text().splitlines()]


def texts_of(sample):
    """The (context, continuation) pairs of one of stonechat's samples."""
    if "ending" in sample:
        return [(sample["prompt"] + choice, " " + sample["ending"]) for choice in sample["choices"]]
    return [(sample["prompt"], " " + choice) for choice in sample["choices"]]


def compare(samples, questions):
    assert len(samples) == len(questions), (len(samples), len(questions))
    prompts = [texts_of(sample) == [tuple(text) for text in question["texts"]] for sample, question in zip(samples, questions)]
    differences = [
        max(abs(a - b) for a, b in zip(sample["log_likelihoods"], question["log_likelihoods"], strict=True))
        for sample, question in zip(samples, questions)
    ]
    same = [sample["choice"] == int(np.argmax(question["log_likelihoods"])) for sample, question in zip(samples, questions)]
    lengths = [[len(choice) for choice in sample["choices"]] for sample in samples]
    norm = [int(np.argmax(np.array(question["log_likelihoods"]) / length)) for question, length in zip(questions, lengths)]
    return {
        "questions": len(samples),
        "same_prompts": sum(prompts),
        "same_choice": sum(same),
        "same_choice_norm": sum(sample["choice_norm"] == choice for sample, choice in zip(samples, norm)),
        "largest_difference": max(differences),
        "mean_difference": float(np.mean(differences)),
        "acc": float(np.mean([sample["choice"] == sample["gold"] for sample in samples])),
        "harness_acc": float(np.mean([question["metrics"]["acc"] for question in questions])),
    }


def harness_model(path, threads):
    torch.set_num_threads(threads)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=reference_tokenizer(path, special=True))
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(0)  # the harness wants one; scoring uses none
    return HFLM(pretrained=load(path), tokenizer=tokenizer, backend="causal", batch_size=1, max_length=4096, device="cpu")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="a GGUF file; F32 compares the program alone")
    parser.add_argument("tasks", nargs="+", metavar="TASK=DATA")
    parser.add_argument("--stonechat", default=ROOT / "build/release/stonechat")
    parser.add_argument("--limit", type=int, default=200, help="questions; of C-Eval the next multiple of its files")
    parser.add_argument("--shots", type=int, default=0)
    parser.add_argument("--shots-file")
    parser.add_argument("--cache", default=["f32", "f16"], nargs="+", help="stonechat's kinds of cache, each compared")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    model = harness_model(options.model, options.threads)
    results = []
    for name, data in (task.split("=", 1) for task in options.tasks):
        files = len(list((pathlib.Path(data) / "val").glob("*_val.csv"))) if name == "ceval" else 1
        limit = -(-options.limit // files)
        examples = records(options.shots_file) if options.shots_file else []
        questions = ask_harness(model, harness_tasks(name, data, limit, examples, options.shots))
        for cache in options.cache:
            flags = ["--shots", options.shots, "-ctk", cache, "-ctv", cache, "-t", options.threads]
            if options.shots_file:
                flags += ["--shots-file", options.shots_file]
            samples = ask_stonechat(options.stonechat, options.model, name, data, limit, flags)
            results.append({"task": name, "shots": options.shots, "cache": cache, **compare(samples, questions)})
            if not options.json:
                print(results[-1], flush=True)
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
