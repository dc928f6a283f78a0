"""Logits and greedy tokens against transformers, by values that tools/make_golden.py has made."""
import json
import pathlib
import subprocess

import pytest

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"


def check(command, model, name, tolerance="0.001", **environment):
    import os

    program = str(pathlib.Path(command[-1]).parent / "bin/golden_check")
    return subprocess.run(
        [*command[:-1], program, str(model), str(GOLDEN / f"{name}.json"), tolerance],
        capture_output=True, text=True, env={**os.environ, **environment},
    )


@pytest.mark.long
@pytest.mark.slow_model
@pytest.mark.parametrize("name, files", [("smollm2-135m", "smollm2_files"), ("qwen2.5-coder-0.5b", "reference_files")])
def test_f32_equals_transformers(request, command, name, files):
    result = check(command, request.getfixturevalue(files)[0], name)
    print(result.stdout)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("128 of 128 greedy tokens equal") == 6


@pytest.mark.slow_model
@pytest.mark.parametrize("name, files", [("smollm2-135m", "smollm2_files"), ("qwen2.5-coder-0.5b", "reference_files")])
def test_perplexity_equals_transformers(request, stonechat, name, files):
    golden = json.loads((GOLDEN / f"{name}.json").read_text())["perplexity"]
    text = GOLDEN.parent.parent / golden["text"]
    model = request.getfixturevalue(files)[0]
    ours = json.loads(stonechat("eval", "ppl", model, "--text", text, "-c", golden["window"], "--json").stdout)
    assert ours["tokens"] == golden["tokens"]
    # Keys and values in binary16 move single log-probabilities by some 1e-3, in both directions.
    assert ours["ppl"] == pytest.approx(golden["value"], rel=5e-4)


@pytest.mark.slow_model
def test_the_check_can_fail(command, smollm2_files):
    """Q8_0 weights differ by more than FP32 may."""
    assert check(command, smollm2_files[1], "smollm2-135m").returncode == 1
    assert check(command, smollm2_files[0], "qwen2.5-coder-0.5b").returncode != 0
