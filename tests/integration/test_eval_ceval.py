"""`stonechat eval ceval`: a file a subject, shots from the dev files, macro and micro averages."""
import json
import re

import numpy as np
import pytest

SUBJECTS = {"logic": "逻辑学", "law": "法学"}


def question(number, answer):
    return [str(number), f"q{number}, the sea", "in", "the", "an", "and", answer]


def csv(records, header):
    quoted = [[f'"{field}"' for field in record] for record in records]
    return "\n".join(",".join(row) for row in [header.split(","), *quoted]) + "\n"


def write(folder, sizes):
    """`sizes`: questions by subject; two dev questions each."""
    for split in ("dev", "val"):
        (folder / split).mkdir(parents=True, exist_ok=True)
    for subject, size in sizes.items():
        val = csv([question(i, "ABCD"[(i * i + len(subject)) % 4]) for i in range(size)], "id,question,A,B,C,D,answer")
        dev = csv([question(90 + i, "BD"[i]) + ["because"] for i in range(2)], "id,question,A,B,C,D,answer,explanation")
        (folder / "val" / f"{subject}_val.csv").write_text(val)
        (folder / "dev" / f"{subject}_dev.csv").write_text(dev)
    return folder


@pytest.fixture
def flags(tmp_path):
    write(tmp_path / "ceval", {"logic": 3, "law": 9})
    return ["--data", tmp_path / "ceval", "--subject", "logic", "--subject", "law", "--shots", "2"]


def test_prompts_and_averages(stonechat, tiny_model, tmp_path, flags):
    out = tmp_path / "s.jsonl"
    result = json.loads(stonechat("eval", "ceval", tiny_model, *flags, "--samples-out", out, "--json").stdout)
    samples = [json.loads(line) for line in out.read_text().splitlines()]
    assert [sample["subject"] for sample in samples] == ["law"] * 9 + ["logic"] * 3

    def block(number, answer):
        return f"q{number}, the sea\nA. in\nB. the\nC. an\nD. and\n答案：{answer}"

    sample = samples[-1]
    expected = "以下是中国关于逻辑学的单项选择题，请选出其中的正确答案。\n\n" + block(90, " B\n\n") + block(91, " D\n\n") + block(2, "")
    assert (sample["prompt"], sample["choices"], sample["gold"]) == (expected, ["A", "B", "C", "D"], (4 + 5) % 4)
    rights = {name: [s["choice"] == s["gold"] for s in samples if s["subject"] == name] for name in SUBJECTS}
    means, errors = [], []
    for subject in result["subjects"]:
        right = np.array(rights[subject["subject"]])
        assert subject["questions"] == len(right)
        means.append(right.mean())
        errors.append(np.sqrt(right.mean() * (1 - right.mean()) / (len(right) - 1)))
        assert (subject["acc"], subject["acc_stderr"]) == pytest.approx((means[-1], errors[-1]))
    everything = np.concatenate([*rights.values()])
    micro = everything.mean()
    assert result["questions"] == 12
    assert (result["acc"], result["acc_stderr"]) == pytest.approx((micro, np.sqrt(micro * (1 - micro) / 11)))
    assert (result["acc_macro"], result["acc_macro_stderr"]) == pytest.approx((np.mean(means), np.linalg.norm(errors) / 2))
    text = stonechat("eval", "ceval", tiny_model, *flags).stdout
    assert re.search(rf"^all subjects alike \(macro\) +12  {np.mean(means):.4f} ", text, re.MULTILINE)
    assert re.search(rf"^all questions alike \(micro\) +12  {micro:.4f} ", text, re.MULTILINE)
    assert re.search(r"^law +9  ", text, re.MULTILINE)


def test_limit_is_of_each_subject(stonechat, tiny_model, flags):
    result = json.loads(stonechat("eval", "ceval", tiny_model, *flags, "--limit", "2", "--json").stdout)
    assert [subject["questions"] for subject in result["subjects"]] == [2, 2]


def test_what_is_missing_is_named(stonechat, tiny_model, tmp_path, flags):
    def error(code, *changed):
        result = stonechat("eval", "ceval", tiny_model, *(changed or flags), check=False)
        assert result.returncode == code, result.stderr
        return result.stderr

    folder = tmp_path / "ceval"
    assert "val/accountant_val.csv: no such file" in error(1, "--data", folder, "--shots", "0")
    assert "--shots: " in error(2, *flags[:-1], "3")
    assert "--subject: expected one of accountant," in error(2, "--data", folder, "--subject", "logics")
    assert "expected a directory" in error(2, "--data", tmp_path / "nowhere")
    (folder / "dev/law_dev.csv").unlink()
    assert "dev/law_dev.csv: no such file" in error(1)
    stonechat("eval", "ceval", tiny_model, *flags[:-1], "0")  # which needs no dev
    write(folder, {"law": 9, "lore": 1})
    assert "val/lore_val.csv: not a subject of C-Eval" in error(1)
    (folder / "val/lore_val.csv").unlink()
    damaged = folder / "val/logic_val.csv"
    damaged.write_text(damaged.read_text().replace('"and","B"', '"and","E"'))
    assert re.search(r"logic_val.csv:\d: answer: expected one of the 4 choices' labels A, B, C, D, found E", error(1))
