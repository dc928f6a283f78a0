"""`stonechat sensitivity`: against models that were rounded by numpy and compared by `eval kl`."""
import json
import os
import signal
import subprocess
import time

import numpy as np
import pytest

import tiny_model as tiny

TEXT = "the inn and the mill in the rain, and then the sea. " * 12
WINDOW = 64


@pytest.fixture(scope="session")
def text_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(TEXT)
    return path


def measure(stonechat, model, scheme, text, *flags):
    words = ["sensitivity", model, "--scheme", scheme, "--text", text, "-c", WINDOW, "--chunks", "4", "--json"]
    return json.loads(stonechat(*words, *flags).stdout)


@pytest.fixture(scope="session")
def measured(stonechat, tiny_model, text_file):
    return measure(stonechat, tiny_model, "q8_t", text_file)


def test_every_matrix_kind_and_layer_is_there(measured, tmp_path):
    matrices = {name: values for name, values in tiny.write(tmp_path / "same.gguf").items() if values.ndim > 1}
    items = {(item["unit"], item["name"]): item for item in measured["items"]}
    assert len(items) == len(measured["items"]) == 1 + 8 + tiny.LAYERS + len(matrices)
    for name, values in matrices.items():
        item = items["tensor", name]
        assert item["tensors"] == [name] and item["weights"] == values.size
        step = np.abs(values.astype(float)).max() / 127
        error = np.sqrt(((np.round(values / step) * step - values) ** 2).sum() / (values**2).sum())
        assert item["relative_error"] == pytest.approx(error, rel=1e-3)
        assert item["mean_kl"] > 0 and 0 <= item["same_top"] <= 1
    everything = items["all", "all"]
    assert sorted(everything["tensors"]) == sorted(matrices)
    assert everything["weights"] == sum(values.size for values in matrices.values())
    assert items["kind", "attn_q.weight"]["tensors"] == [f"blk.{i}.attn_q.weight" for i in range(tiny.LAYERS)]
    assert len(items["layer", "blk.1"]["tensors"]) == 7
    assert items["kind", "token_embd.weight"]["mean_kl"] == items["tensor", "token_embd.weight"]["mean_kl"]
    assert everything["mean_kl"] > max(item["mean_kl"] for item in measured["items"] if item["unit"] == "tensor") / 2
    assert measured["windows"] == 4 and measured["tokens"] == 4 * 31


@pytest.mark.parametrize("arch", ["qwen2", "llama"])
@pytest.mark.parametrize(
    "unit, name",
    [("tensor", "blk.1.attn_k.weight"), ("tensor", "blk.0.ffn_up.weight"), ("layer", "blk.0"), ("all", "all"),
     ("kind", "ffn_down.weight")],
)
def test_equals_the_kl_of_a_model_rounded_by_numpy(stonechat, tmp_path, text_file, arch, unit, name):
    exact, rounded = tmp_path / "exact.gguf", tmp_path / "rounded.gguf"
    tiny.write(exact, arch=arch)
    found = measure(stonechat, exact, "q8_t", text_file, "--by", "kind,layer,tensor")
    (item,) = [item for item in found["items"] if (item["unit"], item["name"]) == (unit, name)]

    def change(tensor, values):
        if tensor not in item["tensors"]:
            return values
        step = np.abs(values.astype(float)).max() / 127
        return (np.round(values / step) * step).astype(np.float32)

    tiny.write(rounded, arch=arch, change=change)
    words = ["eval", "kl", rounded, "--against", exact, "--text", text_file, "-c", WINDOW, "--windows", "4", "--json"]
    expected = json.loads(stonechat(*words).stdout)
    # Where a step times a code is rounded to FP32 may differ by a bit.
    assert item["mean_kl"] == pytest.approx(expected["mean_kl"], rel=1e-3)
    assert item["same_top"] == expected["same_top"]
    # Both from the means of the windows.
    assert item["mean_kl_error"] == pytest.approx(expected["mean_kl_error"], rel=1e-2)
    assert item["same_top_error"] == expected["same_top_error"]


@pytest.mark.threads
def test_threads_change_nothing(stonechat, tiny_model, text_file, measured):
    for threads in ("1", "3"):
        assert measure(stonechat, tiny_model, "q8_t", text_file, "-t", threads) == measured


def test_coarser_schemes_cost_more(stonechat, tiny_model, text_file, measured):
    def everything(result):
        return result["items"][0]["mean_kl"]

    fine = measure(stonechat, tiny_model, "q8_0", text_file, "--by", "kind")
    coarse = measure(stonechat, tiny_model, "q4_0", text_file, "--by", "kind")
    assert everything(fine) < everything(measured) < everything(coarse)
    assert {item["unit"] for item in fine["items"]} == {"all", "kind"}


def test_table_and_page(stonechat, tiny_model, text_file, tmp_path, measured):
    page = tmp_path / "page.html"
    words = ["sensitivity", tiny_model, "--scheme", "q8_t", "--text", text_file, "-c", WINDOW, "--chunks", "4"]
    result = stonechat(*words, "--html", page)
    lines = result.stdout.splitlines()
    assert lines[0] == f"wrote {page}" and lines[1].startswith("q8_t of the weights, activations exact; 4 chunks")
    rows = {line.split()[0]: line.split() for line in lines[2:] if line}
    for item in measured["items"]:
        if item["unit"] == "tensor":
            assert float(rows[item["name"]][3]) == pytest.approx(item["mean_kl"], abs=1e-7)
    order = [float(line.split()[3]) for line in lines if line.startswith("blk.") and ".weight" in line]
    assert order == sorted(order, reverse=True) and len(order) == 14
    source = page.read_text()
    assert source.count("<figure>") == 4 and "mean KL, nats a token" in source
    for word in ("http:", "https:", "//", "<script", "url("):
        assert word not in source
    for item in measured["items"]:
        assert f"{item['name']}: {item['mean_kl']:.7f} +- " in source


def test_interrupt_keeps_whole_chunks(command, tiny_model, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text(TEXT * 100)
    words = [*command, "sensitivity", str(tiny_model), "--scheme", "q8_0", "--text", str(text), "-c", "64", "--json"]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(words, **pipes)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 130 and "interrupted" in err
    if out:  # else not even one chunk was done
        found = json.loads(out)
        assert f"the first {found['windows']} of " in err and found["tokens"] == found["windows"] * 31


def test_wrong_use(stonechat, tiny_model, text_file, tmp_path):
    def error(*words, code=2):
        result = stonechat("sensitivity", *words, check=False)
        assert result.returncode == code and result.stdout == ""
        return result.stderr

    assert "--scheme" in error(tiny_model, "--text", text_file)
    assert "q3_x" in error(tiny_model, "--text", text_file, "--scheme", "q3_x")
    assert "head" in error(tiny_model, "--text", text_file, "--scheme", "q8_0", "--by", "head")
    short = tmp_path / "short.txt"
    short.write_text("the sea")
    assert "one window takes 64" in error(tiny_model, "--text", short, "--scheme", "q8_0", "-c", "64")
    same = ["--scheme", "q8_0", "--html", text_file]
    assert "the output is an input" in error(tiny_model, "--text", text_file, *same)
    packed = tmp_path / "packed.gguf"
    stonechat("pack", tiny_model, packed)
    assert "take the GGUF file" in error(packed, "--text", text_file, "--scheme", "q8_0")
    q8 = tmp_path / "q8.gguf"
    stonechat("quantize", tiny_model, q8, "--type", "q8_0")
    assert "expected F32, F16 or BF16, found Q8_0" in error(q8, "--text", text_file, "--scheme", "q8_0")
    assert text_file.read_text() == TEXT and os.path.exists(packed)
