"""`stonechat calibrate` and `stonechat stats`: figures against numpy, files against the gguf package."""
import html.parser
import json
import os
import pty
import re
import signal
import subprocess

import gguf
import numpy as np
import pytest

import numpy_forward
import tiny_model as tiny

WINDOW = 64
TEXT = "the inn and the mill in the rain, and then the sea. " * 12


@pytest.fixture(scope="session")
def text_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="session")
def calibrated(stonechat, tiny_model, text_file, tmp_path_factory):
    """The statistics file of the tiny model."""
    path = tmp_path_factory.mktemp("calibrated") / "stats.gguf"
    result = stonechat("calibrate", tiny_model, "--text", text_file, "-c", WINDOW, "-o", path)
    assert result.stderr == "" and result.stdout.startswith(f"wrote {path}: ")
    return path


@pytest.fixture(scope="session")
def shown(stonechat, calibrated):
    return json.loads(stonechat("stats", calibrated, "--json").stdout)


def expected_taps(stonechat, model, tensors, text_file, adjacent=False):
    """numpy's activations of all windows, below each other."""
    words = ["tokenize", model, "--file", text_file, "--json"]
    tokens = json.loads(stonechat(*words).stdout)["tokens"]
    windows = [tokens[i : i + WINDOW] for i in range(0, len(tokens) - WINDOW + 1, WINDOW)]
    numbers = (tiny.LAYERS, tiny.HEADS, tiny.KV_HEADS, 1e-6, 10000.0, adjacent)
    seen = [numpy_forward.taps(tensors, np.array(window), *numbers) for window in windows]
    return {name: np.concatenate([one[name] for one in seen]) for name in seen[0]}, len(windows)


def check_summary(found, values, name):
    size = np.abs(values).max()
    # Keys and values are rounded to binary16 in the cache, by up to 2^-11 of their size, and some layers follow.
    close = {"abs": 2e-3 * size, "rel": 0}
    assert found["min"] == pytest.approx(values.min(), **close), name
    assert found["max"] == pytest.approx(values.max(), **close), name
    assert found["mean"] == pytest.approx(values.mean(), **close), name
    assert found["deviation"] == pytest.approx(values.std(), **close), name
    for key, fraction in (("p99", 99), ("p99_9", 99.9), ("p99_99", 99.99)):
        exact = np.percentile(np.abs(values), fraction, method="inverted_cdf")
        assert found[key] == pytest.approx(exact, abs=2e-3 * size + exact / 256, rel=0), (name, key)


@pytest.mark.parametrize("arch", ["qwen2", "llama"])
def test_activations_equal_numpys(stonechat, tmp_path, text_file, arch):
    def change(name, values):
        return values * 40 if name.endswith("attn_k.bias") else values

    model = tmp_path / "model.gguf"
    tensors = tiny.write(model, arch=arch, separate_head=arch == "llama", change=change)
    stonechat("calibrate", model, "--text", text_file, "-c", WINDOW, "-o", tmp_path / "stats.gguf")
    found = json.loads(stonechat("stats", tmp_path / "stats.gguf", "--json").stdout)
    expected, windows = expected_taps(stonechat, model, tensors, text_file, adjacent=arch == "llama")
    assert found["chunks"] == windows and found["chunk_size"] == WINDOW
    assert sorted(tap["name"] for tap in found["activations"]) == sorted(expected) and len(expected) == 12 * tiny.LAYERS + 2
    for tap in found["activations"]:
        values = expected[tap["name"]]
        check_summary(tap, values, tap["name"])
        close = {"abs": 2e-3 * np.abs(values).max(), "rel": 0}
        assert tap["channels"]["min"] == pytest.approx(values.min(axis=0), **close)
        assert tap["channels"]["max"] == pytest.approx(values.max(axis=0), **close)
        assert tap["channels"]["mean"] == pytest.approx(values.mean(axis=0), **close)
        squares = (values**2).mean(axis=0)
        assert tap["channels"]["mean_square"] == pytest.approx(squares, abs=4e-3 * squares.max(), rel=0)
        largest = np.maximum(np.abs(tap["channels"]["min"]), np.abs(tap["channels"]["max"]))
        median = np.sort(largest)[(len(largest) - 1) // 2]
        outliers = np.flatnonzero(largest > 6 * median)
        assert sorted(tap["outlier_channels"]) == outliers.tolist() and tap["median_channel"] == median
        own = tap["name"].split(".", 2)[2] if tap["name"].startswith("blk") else ""
        heads = tiny.KV_HEADS if own in ("attn_k.out", "attn_k.rotated", "attn_v.out") else 0
        assert len(tap["heads"]) == heads
        for head, summary in enumerate(tap["heads"]):
            check_summary(summary, np.split(values, heads, axis=1)[head], tap["name"])
    biases = [tensors[f"blk.{layer}.attn_k.bias"].tolist() for layer in range(tiny.LAYERS)] if arch == "qwen2" else []
    assert np.float32(found["key_biases"]).tolist() == biases


def rounded(scheme, w):
    """What a scheme makes of a matrix, by its formula."""
    largest = np.abs(w).max()
    if scheme == "q8_t":
        return np.round(w / (largest / 127)) * (largest / 127)
    if scheme == "q8_m":
        return w.mean() + np.clip(np.round((w - w.mean()) / w.std() * 127), -127, 127) * w.std() / 127
    if scheme == "q8_r":
        step = np.abs(w).max(axis=1, keepdims=True) / 127
        return np.round(w / step) * step
    kind = {"q8_0": gguf.GGMLQuantizationType.Q8_0, "q4_0": gguf.GGMLQuantizationType.Q4_0}[scheme]
    return gguf.quants.dequantize(gguf.quants.quantize(w.astype(np.float32), kind), kind)


def test_weights_equal_numpys(tmp_path, shown):
    tensors = {name: values for name, values in tiny.write(tmp_path / "same.gguf").items() if values.ndim > 1}
    assert [weight["name"] for weight in shown["weights"]] == list(tensors)
    assert {"q8_0", "q8_t", "q8_m", "q8_r", "q4_0"} <= set(shown["schemes"])
    for weight in shown["weights"]:
        w = tensors[weight["name"]].astype(np.float64)
        assert (weight["rows"], weight["cols"]) == w.shape
        assert (weight["min"], weight["max"]) == pytest.approx((w.min(), w.max()), rel=1e-6)
        assert weight["mean"] == pytest.approx(w.mean(), rel=1e-5, abs=1e-9)
        assert weight["deviation"] == pytest.approx(w.std(), rel=1e-6)
        assert weight["kurtosis"] == pytest.approx(((w - w.mean()) ** 4).mean() / w.var() ** 2, rel=1e-5)
        for scheme in ("q8_0", "q8_t", "q8_m", "q8_r", "q4_0"):
            error = np.sqrt(((rounded(scheme, w) - w) ** 2).sum() / (w**2).sum())
            assert weight["errors"][scheme] == pytest.approx(error, rel=1e-4), (weight["name"], scheme)


@pytest.mark.threads
@pytest.mark.parametrize("flags", [["-t", "1"], ["-t", "3", "-b", "7"], ["-t", "2", "-b", "50"]])
def test_any_way_of_running_gives_the_same_bytes(stonechat, tiny_model, text_file, calibrated, tmp_path, flags):
    out = tmp_path / "stats.gguf"
    stonechat("calibrate", tiny_model, "--text", text_file, "-c", WINDOW, "-o", out, *flags)
    assert out.read_bytes() == calibrated.read_bytes()


def test_kernels_of_another_table_give_the_same_bytes(stonechat, tiny_model, text_file, calibrated, tmp_path):
    out = tmp_path / "stats.gguf"
    words = ["calibrate", tiny_model, "--text", text_file, "-c", WINDOW, "-o", out]
    stonechat(*words, env={"STONECHAT_ISA": "scalar"})
    assert out.read_bytes() == calibrated.read_bytes()


def test_chunks_limits_them(stonechat, tiny_model, text_file, tmp_path):
    out = tmp_path / "stats.gguf"
    result = stonechat("calibrate", tiny_model, "--text", text_file, "-c", WINDOW, "--chunks", "2", "-o", out)
    assert result.stdout == f"wrote {out}: 2 chunks of {WINDOW} tokens\n"
    assert json.loads(stonechat("stats", out, "--json").stdout)["chunks"] == 2


def test_quantized_models_work(stonechat, tiny_model, text_file, tmp_path, shown):
    """Activations are those before they are rounded; weights what the file has."""
    q8, out = tmp_path / "q8.gguf", tmp_path / "stats.gguf"
    stonechat("quantize", tiny_model, q8, "--type", "q8_0")
    stonechat("calibrate", q8, "--text", text_file, "-c", WINDOW, "-o", out)
    found = json.loads(stonechat("stats", out, "--json").stdout)
    assert found["file_type"] == "Q8_0" and shown["file_type"] == "F32"
    for tap, exact in zip(found["activations"], shown["activations"]):
        assert tap["deviation"] == pytest.approx(exact["deviation"], rel=0.05)
    assert all(weight["errors"]["q8_0"] < 1e-3 for weight in found["weights"])


def test_packed_files_are_refused(stonechat, tiny_model, text_file, tmp_path):
    stonechat("pack", tiny_model, tmp_path / "packed.gguf")
    words = ["calibrate", tmp_path / "packed.gguf", "--text", text_file, "-o", tmp_path / "out"]
    result = stonechat(*words, check=False)
    assert result.returncode == 2 and "take the GGUF file that it was made from" in result.stderr
    assert not (tmp_path / "out").exists()


def imatrix(path):
    reader = gguf.GGUFReader(path)
    return reader, {tensor.name: np.array(tensor.data) for tensor in reader.tensors}


@pytest.mark.parametrize("separate_head", [False, True])
def test_imatrix(stonechat, text_file, tmp_path, separate_head):
    model, out = tmp_path / "model.gguf", tmp_path / "imatrix.gguf"
    tensors = tiny.write(model, separate_head=separate_head)
    words = ["calibrate", model, "--text", text_file, "-c", WINDOW, "--format", "imatrix", "-o", out]
    stonechat(*words)
    expected, windows = expected_taps(stonechat, model, tensors, text_file)
    reader, found = imatrix(out)
    assert reader.get_field("general.type").contents() == "imatrix"
    assert reader.get_field("imatrix.datasets").contents() == ["text.txt"]
    assert reader.get_field("imatrix.chunk_count").contents() == windows
    assert reader.get_field("imatrix.chunk_size").contents() == WINDOW
    inputs = {"attn_q": "attn_qkv", "attn_k": "attn_qkv", "attn_v": "attn_qkv", "attn_output": "attn_output"}
    inputs |= {"ffn_gate": "ffn_gate_up", "ffn_up": "ffn_gate_up", "ffn_down": "ffn_down"}
    names = {f"blk.{i}.{w}.weight": f"blk.{i}.{tap}.in" for i in range(tiny.LAYERS) for w, tap in inputs.items()}
    names["output.weight" if separate_head else "token_embd.weight"] = "output.in"
    assert set(found) == {f"{name}.{part}" for name in names for part in ("in_sum2", "counts")}
    for name, tap in names.items():
        sums = found[name + ".in_sum2"]
        squares = (expected[tap] ** 2).sum(axis=0)
        assert sums.shape == (1, tensors[name].shape[1])
        assert sums[0] == pytest.approx(squares, abs=4e-3 * squares.max(), rel=0)
        assert found[name + ".counts"].tolist() == [[windows * WINDOW]]


@pytest.mark.parametrize(
    "content, code, word",
    [
        (b"", 2, "found an empty file"),
        (b"the sea", 2, "one window takes 64"),
        (b"the sea \xff\xfe and", 2, "found byte 0xff at offset 8"),
        (b"the sea \xc3", 2, "found byte 0xc3 at offset 8"),
        (None, 1, "No such file"),
    ],
)
def test_texts_that_are_none(stonechat, tiny_model, tmp_path, content, code, word):
    text = tmp_path / "text.txt"
    if content is not None:
        text.write_bytes(content)
    words = ["calibrate", tiny_model, "--text", text, "-c", WINDOW, "-o", tmp_path / "out"]
    result = stonechat(*words, check=False)
    assert result.returncode == code and word in result.stderr and result.stdout == ""
    assert not (tmp_path / "out").exists()


def test_a_replacement_character_is_text(stonechat, tiny_model, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the \ufffd sea " * 40)
    stonechat("calibrate", tiny_model, "--text", text, "-c", WINDOW, "--chunks", "1", "-o", tmp_path / "out")


def test_wrong_use(stonechat, tiny_model, text_file, tmp_path):
    def run(*words):
        return stonechat("calibrate", *words, check=False)

    out = tmp_path / "out"
    for words, word in [
        ([tiny_model, "--text", text_file], "--output"),
        ([tiny_model, "-o", out], "--text"),
        ([tiny_model, "--text", text_file, "-o", out, "--format", "csv"], "csv"),
        ([tiny_model, "--text", text_file, "-o", out, "-c", "3"], "3"),
        ([tiny_model, "--text", text_file, "-o", out, "-c", "5000"], "trained for 256 tokens"),
        ([tiny_model, "--text", text_file, "-o", text_file], "the output is an input"),
        ([tiny_model, "--text", text_file, "-o", tiny_model], "the output is an input"),
    ]:
        result = run(*words)
        assert result.returncode == 2 and word in result.stderr, words
        assert not out.exists()
    assert text_file.read_text() == TEXT
    result = run(tiny_model, "--text", text_file, "-o", tmp_path / "no/such/folder")
    assert result.returncode == 1 and "no/such/folder" in result.stderr


def test_a_broken_model_is_told(stonechat, text_file, tmp_path):
    def change(name, values):
        return values * np.float32(1e30) if name in ("blk.1.ffn_gate.weight", "blk.1.ffn_up.weight") else values

    model = tmp_path / "broken.gguf"
    tiny.write(model, change=change)
    words = ["calibrate", model, "--text", text_file, "-c", WINDOW, "-o", tmp_path / "out"]
    result = stonechat(*words, check=False)
    assert result.returncode == 1 and "activations at blk.1.ffn_down.in are not finite" in result.stderr
    assert not (tmp_path / "out").exists()


def test_progress_and_interrupt(command, stonechat, tmp_path):
    """Ctrl-C after the first chunk: the file has what was done by then."""
    model, text, out = tmp_path / "model.gguf", tmp_path / "text.txt", tmp_path / "stats.gguf"
    tiny.write(model)
    text.write_text(TEXT * 400)
    outer, inner = pty.openpty()
    words = [*command, "calibrate", str(model), "--text", str(text), "-c", str(WINDOW), "-o", str(out)]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=inner)
    os.close(inner)
    shown = b""
    try:
        while piece := os.read(outer, 4096):
            shown += piece
            if re.search(rb"\[.*\] [1-9]\d* of \d+ chunks, .* left  calibrate", shown) and process.poll() is None:
                process.send_signal(signal.SIGINT)
                break
        while piece := os.read(outer, 4096):
            shown += piece
    except OSError:  # the program has closed its side
        pass
    stdout, _ = process.communicate(timeout=100)
    os.close(outer)
    assert process.returncode == 130 and stdout == b"", shown
    done, wanted = map(int, re.search(rb"has the first (\d+) of (\d+) chunks", shown).groups())
    assert 0 < done < wanted
    assert b"interrupted" in shown and str(out).encode() in shown
    assert json.loads(stonechat("stats", out, "--json").stdout)["chunks"] == done
    # It is what a run over so many chunks writes.
    again = tmp_path / "again.gguf"
    stonechat("calibrate", model, "--text", text, "-c", WINDOW, "--chunks", done, "-o", again)
    assert again.read_bytes() == out.read_bytes()


def test_tables(stonechat, calibrated, shown):
    lines = stonechat("stats", calibrated).stdout.splitlines()
    assert lines[0] == f"tiny, qwen2, mostly F32: {tiny.LAYERS} layers"
    assert lines[1] == f"text.txt: {shown['chunks']} chunks of {WINDOW} tokens"
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:] if line}
    for tap in shown["activations"]:
        assert float(rows[tap["name"]][1]) == pytest.approx(tap["max"], rel=1e-3)
        assert int(rows[tap["name"]][-1]) == len(tap["outlier_channels"])
    for weight in shown["weights"]:
        assert float(rows[weight["name"]][3]) == pytest.approx(weight["kurtosis"], rel=1e-3)
    assert rows["blk.1"][0] == "0"
    bias = max(map(abs, shown["key_biases"][1]))
    assert float(rows["blk.1"][1]) == pytest.approx(bias, rel=1e-3)


class PageParser(html.parser.HTMLParser):
    """Checks that tags are closed in order, and collects what a browser would fetch or run."""

    EMPTY = {"meta", "br", "link", "img"}

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def page_of(stonechat, stats, path):
    assert stonechat("stats", stats, "--html", path).stdout == f"wrote {path}\n"
    source = path.read_text()
    parser = PageParser()
    parser.feed(source)
    assert parser.open == []
    return source, parser


def test_page(stonechat, calibrated, shown, tmp_path):
    source, page = page_of(stonechat, calibrated, tmp_path / "page.html")
    assert not {"script", "link", "img", "iframe", "image", "use", "object"} & set(page.tags)
    for word in ("http:", "https:", "//", "@import", "url("):
        assert word not in source
    assert not [name for name, _ in page.attributes if name in ("src", "href", "xlink:href") or name.startswith("on")]
    assert "prefers-color-scheme: dark" in source and 'name="viewport"' in source
    # Twelve kinds twice, key biases with keys, rotated keys and values, seven kinds of weights.
    assert page.tags.count("figure") == 12 + 12 + 4 + 7
    labels = "".join(page.text)
    for word in ("layer", "|x|", "relative rms error, %", "|bias|", "largest / median channel", *shown["schemes"]):
        assert word in labels
    for tap in shown["activations"]:
        assert tap["name"] in labels
    # Marks carry their values.
    largest = next(tap for tap in shown["activations"] if tap["name"] == "blk.1.ffn_down.in")
    value = max(-largest["min"], largest["max"])
    assert f"largest, layer 1: {value:.4g}" in labels
    assert not re.search(r"\b(nan|inf)\b", source)


def test_page_of_names_that_are_markup(stonechat, text_file, tmp_path):
    model, stats = tmp_path / "model.gguf", tmp_path / "stats.gguf"
    text = tmp_path / "<b>&.txt"
    text.write_text(TEXT)
    tiny.write(model, arch="llama")
    data = model.read_bytes().replace(b"tiny", b"<i>\"", 1)
    model.write_bytes(data)
    stonechat("calibrate", model, "--text", text, "-c", WINDOW, "--chunks", "1", "-o", stats)
    source, page = page_of(stonechat, stats, tmp_path / "page.html")
    assert "i" not in page.tags and "&lt;i&gt;&quot;" in source and "&lt;b&gt;&amp;.txt" in source
    # A llama model has no key biases.
    assert "adds no bias" in source and page.tags.count("figure") == 12 + 12 + 3 + 7


def test_stats_refuses_what_is_none(stonechat, tiny_model, calibrated, tmp_path):
    def error(path):
        results = [stonechat("stats", path, *flags, check=False) for flags in ([], ["--json"])]
        assert all(result.returncode == 1 and result.stdout == "" for result in results)
        return results[0].stderr

    assert "general.architecture: expected stonechat-calibration, found 'qwen2'" in error(tiny_model)
    (tmp_path / "text").write_text("no GGUF file")
    assert "magic" in error(tmp_path / "text")
    assert "No such file" in error(tmp_path / "none")
    # Cut anywhere, and with any byte of the header changed: an error or other figures, never a crash.
    data = calibrated.read_bytes()
    broken = tmp_path / "broken"
    random = np.random.default_rng(3)
    for end in random.integers(0, len(data), 15):
        broken.write_bytes(data[:end])
        error(broken)
    for place in random.integers(0, 6000, 40):
        changed = bytearray(data)
        changed[place] ^= 1 << random.integers(0, 8)
        broken.write_bytes(changed)
        assert stonechat("stats", broken, check=False, text=False).returncode in (0, 1)
    for flags in (["--json", "--html", tmp_path / "x"], ["--xml"]):
        assert stonechat("stats", calibrated, *flags, check=False).returncode == 2
    result = stonechat("stats", calibrated, "--html", calibrated, check=False)
    assert result.returncode == 2 and calibrated.read_bytes() == data


def test_other_commands_refuse_it(stonechat, calibrated):
    result = stonechat("run", calibrated, "the", check=False)
    assert result.returncode == 1 and "stonechat-calibration" in result.stderr
    assert "stonechat-calibration" in stonechat("inspect", calibrated).stdout


@pytest.mark.slow_model
def test_a_real_model(stonechat, smollm2, tmp_path):
    """The figures of a real model that others report too: a few channels far beyond all others."""
    import pathlib

    text = pathlib.Path(__file__).parent.parent.parent / "data/demo_text.txt"
    out = tmp_path / "stats.gguf"
    stonechat("calibrate", smollm2, "--text", text, "-c", "128", "--chunks", "1", "-o", out)
    found = json.loads(stonechat("stats", out, "--json").stdout)
    assert found["layers"] == 30 and len(found["activations"]) == 362 and found["key_biases"] == []
    outputs = [tap for tap in found["activations"] if tap["kind"] == "ffn_down.out"]
    assert max(max(-tap["min"], tap["max"]) / tap["median_channel"] for tap in outputs) > 50
    page_of(stonechat, out, tmp_path / "page.html")
