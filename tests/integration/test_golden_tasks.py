"""Log-likelihoods of made-up questions against what lm-evaluation-harness and transformers gave (tools/make_golden_tasks.py)."""
import json
import pathlib

import pytest

FOLDER = pathlib.Path(__file__).parent.parent / "golden/tasks"
GOLDEN = json.loads((FOLDER / "smollm2-135m.json").read_text())


@pytest.mark.slow_model
@pytest.mark.parametrize("task", ["arc_c", "hellaswag", "ceval"])
def test_log_likelihoods_equal_the_harness(stonechat, smollm2_files, tmp_path, task):
    golden, out = GOLDEN["tasks"][task], tmp_path / "samples.jsonl"
    data = FOLDER / ("ceval" if task == "ceval" else f"{task}.jsonl")
    subjects = ["--subject", "logic"] if task == "ceval" else []
    flags = ["--shots", golden["shots"], "-ctk", "f32", "-ctv", "f32", "--samples-out", out]
    stonechat("eval", task, smollm2_files[0], "--data", data, *subjects, *flags)
    samples = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(samples) == len(golden["questions"]) == 20
    for sample, question in zip(samples, golden["questions"], strict=True):
        assert sample["log_likelihoods"] == pytest.approx(question["log_likelihoods"], abs=0.002), sample["prompt"]
        assert (sample["choice"] == sample["gold"], sample["choice_norm"] == sample["gold"]) == (question["acc"], question["acc_norm"])
