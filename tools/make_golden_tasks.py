#!/usr/bin/env python3
"""Writes tests/golden/tasks/NAME.json: log-likelihoods of the made-up questions beside it, by lm-evaluation-harness and
transformers in FP32.

Run by hand, in the virtual environment of tools/check_tasks.py:

    tools/make_golden_tasks.py smollm2-135m path/to/model.gguf
"""
import importlib.metadata
import json
import pathlib
import sys

from check_tasks import ask_harness, harness_model, harness_tasks

FOLDER = pathlib.Path(__file__).parent.parent / "tests/golden/tasks"
SHOTS = {"arc_c": 0, "hellaswag": 0, "ceval": 2}


def main(name, path):
    model = harness_model(path, threads=1)
    tasks = {}
    for task, shots in SHOTS.items():
        data = FOLDER / ("ceval" if task == "ceval" else f"{task}.jsonl")
        questions = ask_harness(model, harness_tasks(task, data, None, [], shots))
        tasks[task] = {
            "shots": shots,
            "questions": [
                {
                    "log_likelihoods": [round(value, 5) for value in question["log_likelihoods"]],
                    "acc": question["metrics"]["acc"],
                    "acc_norm": question["metrics"]["acc_norm"],
                }
                for question in questions
            ],
        }
    packages = ("lm-eval", "torch", "transformers", "gguf", "tokenizers")
    out = {"made_by": "tools/make_golden_tasks.py", "versions": {one: importlib.metadata.version(one) for one in packages}, "tasks": tasks}
    text = json.dumps(out, separators=(",", ":"))
    (FOLDER / f"{name}.json").write_text(text.replace('{"log', '\n{"log') + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
