"""`stonechat report compare`. The figures are those of tests/support/sample_results.h."""
import json
import subprocess

import pytest


@pytest.fixture(scope="session")
def sample(binary):
    return json.loads(subprocess.run([str(binary.parent / "bin/render_report"), "json"], capture_output=True, check=True).stdout)


def save(folder, results):
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def test_directories_and_files(stonechat, sample, tmp_path):
    other = json.loads(json.dumps(sample))
    decode = next(speed for speed in other["variants"][1]["speeds"] if speed["test"] == "tg50")
    decode["samples"] = [1.1 * value for value in decode["samples"]]
    a, b = save(tmp_path / "a", sample), save(tmp_path / "b", other)
    text = stonechat("report", "compare", a, b).stdout
    assert "Nothing: the same model, machine and program." in text
    assert "\n\nq8_0: decode of 50, tokens/s (+10.0 %).\n\n" in text
    assert stonechat("report", "compare", a / "results.json", b).stdout.count("| beyond noise |") == 1
    assert text.count("\n## ") == 2 + len(sample["variants"]) + 1


def test_other_models_come_first(stonechat, sample, tmp_path):
    other = {**sample, "model": {**sample["model"], "sha256": 64 * "0"}}
    text = stonechat("report", "compare", save(tmp_path / "a", sample), save(tmp_path / "b", other)).stdout
    assert text.index("The models differ") < text.index("## What changed beyond noise")


def test_bad_input(stonechat, sample, tmp_path):
    good = save(tmp_path / "good", sample)
    newer = save(tmp_path / "newer", {**sample, "schema": 2})
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    (tmp_path / "empty").mkdir()
    for words, code, message in [
        ((good, newer), 1, "schema: expected 1, which is all that this version reads, found 2"),
        ((broken, good), 1, f"{broken}: expected JSON"),
        ((tmp_path / "empty", good), 1, "No such file"),
        ((good, tmp_path / "none"), 1, "No such file"),
        ((good,), 2, "b is required"),
        ((), 2, "is required"),
        ((good, good, good), 2, ""),
    ]:
        done = stonechat("report", "compare", *words, check=False)
        assert done.returncode == code and message in done.stderr and done.stdout == "", words
