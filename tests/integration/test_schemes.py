"""The schemes of `stonechat quantize`, plans of types by tensor, and the files they give."""
import json
import re
import struct

import gguf
import numpy as np
import pytest
import tiny_model

SCHEMES = ["q8_0", "q8_t", "q8_m", "q8_r", "q4_0"]
OWN = {"q8_t": 1_000_001, "q8_m": 1_000_002, "q8_r": 1_000_003}
TEXT = "the inn and the mill in the rain, and then the sea. " * 20


def own_tensors(path):
    """Tensors of a file with types of our own, which the gguf package refuses: name -> (type, shape, bytes). A reader of
    the format of its own, for files whose metadata are scalars, texts and arrays of these."""
    data = path.read_bytes()
    at = 0

    def take(form):
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values[0]

    def text():
        nonlocal at
        size = take("Q")
        at += size
        return data[at - size : at].decode()

    sizes = [1, 1, 2, 2, 4, 4, 4, 1, None, None, 8, 8, 8]

    def skip(kind):
        nonlocal at
        if kind == 8:
            text()
        elif kind == 9:
            inner, count = take("I"), take("Q")
            for _ in range(count):
                skip(inner)
        else:
            at += sizes[kind]

    assert take("4s") == b"GGUF" and take("I") == 3
    tensor_count, key_count = take("Q"), take("Q")
    for _ in range(key_count):
        text()
        skip(take("I"))
    table = []
    for _ in range(tensor_count):
        name = text()
        shape = [take("Q") for _ in range(take("I"))]
        table.append((name, shape, take("I"), take("Q")))
    at = -(-at // 32) * 32
    ends = [offset for *_, offset in table[1:]] + [len(data) - at]
    return {name: (kind, shape, data[at + offset : at + end]) for (name, shape, kind, offset), end in zip(table, ends)}


def rows_of(tensor):
    """(scale, mean, codes) of a tensor of one of our own types."""
    _, (cols, rows), data = tensor
    data = np.frombuffer(data[: rows * (8 + cols)], np.uint8).reshape(rows, 8 + cols)
    header = np.ascontiguousarray(data[:, :8]).view(np.float32)
    return header[:, :1], header[:, 1:], np.ascontiguousarray(data[:, 8:]).view(np.int8)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("schemes") / "f32.gguf"
    return path, tiny_model.write(path)


@pytest.mark.aarch64
@pytest.mark.parametrize("scheme", OWN)
def test_rows_are_those_of_the_formula(stonechat, written, tmp_path, scheme):
    source, values = written
    out, back = tmp_path / "out.gguf", tmp_path / "back.gguf"
    flags = ["--range", "2"] if scheme == "q8_m" else []
    stonechat("quantize", source, out, "--type", scheme, *flags)
    stonechat("convert", out, back, "--to", "f32")
    decoded = {tensor.name: tensor for tensor in gguf.GGUFReader(back).tensors}
    for name, tensor in own_tensors(out).items():
        w = values[name].astype(np.float64)
        if w.ndim == 1:
            assert tensor[0] == 0 and np.array_equal(np.frombuffer(tensor[2], np.float32)[: w.size], values[name])
            continue
        assert tensor[0] == OWN[scheme]
        scale, mean, codes = rows_of(tensor)
        if scheme == "q8_t":
            wanted = np.full_like(scale, np.abs(w).max() / 127), np.zeros_like(mean)
        elif scheme == "q8_m":
            wanted = np.full_like(scale, 2 * w.std() / 127), np.full_like(mean, w.mean())
        else:
            wanted = np.float32(np.abs(w).max(axis=1, keepdims=True) / 127), np.zeros_like(mean)
        np.testing.assert_allclose(scale, wanted[0], rtol=1e-6)
        np.testing.assert_allclose(mean, wanted[1], rtol=1e-5, atol=1e-12)
        exact = np.clip((w - mean) / scale, -127, 127)
        # Half a code, and what the scale's rounding to FP32 moves 127 of them by.
        assert np.abs(codes - exact).max() <= 0.5 + 1e-4, name
        assert codes.min() >= -127
        shape = tuple(int(size) for size in reversed(decoded[name].shape))
        expected = (mean + scale * codes.astype(np.float32)).astype(np.float32)
        assert np.array_equal(decoded[name].data.reshape(shape), expected), name


def test_q4_0_bytes_equal_the_package(stonechat, tmp_path):
    def change(name, values):
        if name == "blk.0.ffn_gate.weight":
            values[0] = 0
            values[1] = np.linspace(-1, 1, values.shape[1])
            values[2] = 1e-8
            values[3] = np.where(np.arange(values.shape[1]) % 2, 127.5, -127.5)  # two of the largest magnitude
            values[4] = -60000
        return values

    source, out = tmp_path / "in.gguf", tmp_path / "out.gguf"
    values = tiny_model.write(source, change=change)
    stonechat("quantize", source, out, "--type", "q4_0")
    reader = gguf.GGUFReader(out)
    assert reader.fields["general.file_type"].contents() == 2
    for tensor in reader.tensors:
        if values[tensor.name].ndim > 1:
            wanted = gguf.quants.quantize(values[tensor.name], gguf.GGMLQuantizationType.Q4_0)
            assert np.ascontiguousarray(tensor.data).view(np.uint8).tobytes() == wanted.tobytes(), tensor.name


def test_other_readers_refuse_own_types(stonechat, written, tmp_path):
    out = tmp_path / "out.gguf"
    stonechat("quantize", written[0], out, "--type", "q8_r")
    with pytest.raises(ValueError, match=r"1000003\)? is not a valid GGMLQuantizationType"):
        gguf.GGUFReader(out)


@pytest.mark.threads
@pytest.mark.parametrize("scheme", SCHEMES)
def test_runs_near_the_original(stonechat, written, tmp_path, scheme):
    out, text = tmp_path / "out.gguf", tmp_path / "text.txt"
    text.write_text(TEXT)
    stonechat("quantize", written[0], out, "--type", scheme)
    kl = ["eval", "kl", out, "--against", written[0], "--text", text, "-c", "64", "--windows", "4", "--json"]
    result = json.loads(stonechat(*kl).stdout)
    assert 0 < result["mean_kl"] < (0.2 if scheme == "q4_0" else 0.01)
    # What it computes with are the values that `convert` gives, but for the activations' rounding.
    back = tmp_path / "back.gguf"
    stonechat("convert", out, back, "--to", "f32")
    assert json.loads(stonechat(*kl[:3], "--against", back, *kl[5:]).stdout)["mean_kl"] < 2e-3
    assert "re-encoded" not in stonechat("run", out, "the", "--max-tokens", "2", "--greedy").stderr


def test_printed_range_loses_the_tails(stonechat, written, tmp_path):
    """A normal distribution clipped at one deviation: 38.8 % of its RMS, the root of 0.1507."""

    def errors(*flags):
        text = stonechat("quantize", written[0], tmp_path / "out.gguf", "--type", "q8_m", *flags).stdout
        return [float(value) for value in re.findall(r"F32 Q8_M +([0-9.]+) %", text)], text

    clipped, text = errors("--range", "1")
    assert all(36 < error < 41 for error in clipped) and len(clipped) == 15
    assert re.search(r"deviations\n.* 1\.00\n", text)
    best, text = errors()
    assert all(error < 1.1 for error in best)
    assert errors("--range", "best")[1] == text


@pytest.mark.parametrize("scheme", SCHEMES)
def test_same_bytes_for_any_number_of_threads(stonechat, smollm2, written, tmp_path, scheme):
    files = [tmp_path / f"{threads}.gguf" for threads in (1, 2, 5)]
    for threads, path in zip((1, 2, 5), files):
        stonechat("quantize", written[0], path, "--type", scheme, "-t", threads)
    assert len({path.read_bytes() for path in files}) == 1


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(stonechat, tmp_path, scheme, value):
    def change(name, values):
        if name == "blk.1.ffn_up.weight":
            values[3, 5] = value
        return values

    source, out = tmp_path / "in.gguf", tmp_path / "out.gguf"
    tiny_model.write(source, change=change)
    result = stonechat("quantize", source, out, "--type", scheme, check=False)
    assert result.returncode == 1 and "tensor blk.1.ffn_up.weight: expected finite values" in result.stderr
    assert not out.exists()


@pytest.mark.parametrize("scheme, limit", [("q8_m", "1e+35"), ("q4_0", "524160")])
def test_values_too_large_are_refused(stonechat, tmp_path, scheme, limit):
    def change(name, values):
        if name == "token_embd.weight":
            values[0, 0] = 1e36
        return values

    source, out = tmp_path / "in.gguf", tmp_path / "out.gguf"
    tiny_model.write(source, change=change)
    result = stonechat("quantize", source, out, "--type", scheme, check=False)
    assert result.returncode == 1 and f"token_embd.weight: expected values below {limit}" in result.stderr


@pytest.mark.parametrize("scheme", SCHEMES)
def test_zeros_and_equal_values_come_back(stonechat, tmp_path, scheme):
    def change(name, values):
        if name == "blk.0.ffn_down.weight":
            values[:] = 0
        if name == "blk.1.ffn_down.weight":
            values[:] = 0.375
        return values

    source, out, back = (tmp_path / name for name in ("in.gguf", "out.gguf", "back.gguf"))
    tiny_model.write(source, change=change)
    stonechat("quantize", source, out, "--type", scheme)
    stonechat("convert", out, back, "--to", "f32")
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(back).tensors}
    assert not tensors["blk.0.ffn_down.weight"].any()
    np.testing.assert_allclose(tensors["blk.1.ffn_down.weight"], 0.375, rtol=5e-4)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_columns_that_are_no_multiple_are_named(stonechat, tmp_path, scheme):
    source, out = tmp_path / "in.gguf", tmp_path / "out.gguf"
    writer = gguf.GGUFWriter(str(source), "llama")
    writer.add_tensor("odd", np.zeros((4, 33), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    result = stonechat("quantize", source, out, "--type", scheme, check=False)
    assert result.returncode == 1 and f"columns in multiples of 32 for {scheme.upper()}, found 33" in result.stderr


@pytest.mark.parametrize("range_", ["0", "-1", "nan", "inf", "1e9", "3x", "0x10", " 1"])
def test_bad_range(stonechat, tiny_model, tmp_path, range_):
    flags = ["--type", "q8_m", f"--range={range_}"]
    result = stonechat("quantize", tiny_model, tmp_path / "out.gguf", *flags, check=False)
    assert result.returncode == 2 and "--range: expected 'best' or deviations" in result.stderr


def test_range_without_q8_m(stonechat, tiny_model, tmp_path):
    result = stonechat("quantize", tiny_model, tmp_path / "out.gguf", "--type", "q8_t", "--range", "2", check=False)
    assert result.returncode == 2 and "only q8_m has a range" in result.stderr


def test_help_and_inspect_show_the_table(stonechat, written, tmp_path):
    help_text = stonechat("quantize", "--help").stdout
    for scheme in SCHEMES:
        assert re.search(rf"^  {scheme}  one scale for each", help_text, re.MULTILINE)
    out = tmp_path / "out.gguf"
    stonechat("quantize", written[0], out, "--type", "q8_m")
    text = stonechat("inspect", out, "--tensors").stdout
    assert re.search(r"blk.1.ffn_down.weight +Q8_M ", text)
    assert "Q8_M: one scale for each tensor; code = round((w - mean) / (K * deviation) * 127)" in text
    shown = json.loads(stonechat("inspect", out, "--json").stdout)
    assert shown["types"]["Q8_M"]["scheme"] == "q8_m" and shown["types"]["Q8_M"]["tensors"] == 15
    assert shown["metadata"]["general.file_type"] == OWN["q8_m"]
    assert "scheme" not in shown["types"]["F32"]


# Plans: types by tensor


def types_in(path):
    return {name: kind for name, (kind, _, _) in own_tensors(path).items()}


def test_plan_and_rules(stonechat, written, tmp_path):
    plan, out = tmp_path / "plan.json", tmp_path / "out.gguf"
    plan.write_text(
        json.dumps(
            {
                "comment": "the down projections are sensitive",
                "type": "q8_t",
                "rules": [
                    {"tensors": "blk.*.ffn_down.weight", "type": "q8_r"},
                    {"tensors": "token_embd.weight", "type": "q8_0"},
                ],
            }
        )
    )
    flags = ["--plan", plan, "--type-for", "blk.1.ffn_down.weight=f16", "--type-for", "blk.?.attn_output.weight=q4_0"]
    text = stonechat("quantize", written[0], out, *flags, "--dry-run").stdout
    assert not out.exists()
    lines = [line.split()[:5] for line in text.splitlines()]
    for words in ("10 tensors F32 to Q8_T", "1 tensors F32 to Q8_R", "1 tensors F32 to F16", "2 tensors F32 to Q4_0"):
        assert words.split() in lines
    result = stonechat("quantize", written[0], out, *flags)
    assert f"the file would have {out.stat().st_size} bytes" in text
    assert "one matrix" not in result.stderr
    types = types_in(out)
    assert types["token_embd.weight"] == 8 and types["blk.0.ffn_down.weight"] == OWN["q8_r"]
    assert types["blk.1.ffn_down.weight"] == 1 and types["blk.1.attn_output.weight"] == 2
    assert types["blk.0.attn_q.weight"] == OWN["q8_t"] and types["blk.0.attn_norm.weight"] == 0
    # --type counts before the plan's.
    stonechat("quantize", written[0], out, "--plan", plan, "--type", "q8_m")
    assert types_in(out)["blk.0.attn_q.weight"] == OWN["q8_m"]
    assert stonechat("run", out, "the", "--max-tokens", "2", "--greedy").stdout


def test_mixed_stacks_are_told(stonechat, written, tmp_path):
    out = tmp_path / "out.gguf"
    result = stonechat("quantize", written[0], out, "--type", "q8_r", "--type-for", "blk.0.attn_v.weight=q8_0")
    assert re.search(r"blk.0.attn_q.weight Q8_R, .*attn_v.weight Q8_0 are multiplied with as one matrix.* F32", result.stderr)
    assert "re-encoded to F32 at load (1 Q8_0, 2 Q8_R)" in stonechat("run", out, "the", "-n", "2", "--greedy").stderr
    # The three with a scale a row are computed with alike.
    result = stonechat("quantize", written[0], out, "--type", "q8_r", "--type-for", "blk.0.attn_v.weight=q8_t")
    assert "one matrix" not in result.stderr
    assert "re-encoded" not in stonechat("run", out, "the", "-n", "2", "--greedy").stderr


@pytest.mark.parametrize(
    "flags, message",
    [
        ([], "expected --type, --plan or --type-for"),
        (["--type", "q9"], "expected one of q8_0"),
        (["--type-for", "blk.*"], "--type-for: expected PATTERN=TYPE"),
        (["--type-for", "=q8_0"], "--type-for: expected PATTERN=TYPE"),
        (["--type-for", "blk.*=q9"], "--type-for: expected PATTERN=TYPE"),
        (["--type-for", "blk.*=q8_0"], "tensor token_embd.weight: no pattern fits it"),
        (["--type", "q8_0", "--type-for", "blk.2.*=q8_r"], "pattern 'blk.2.*': fits no matrix"),
        (["--type", "q8_0", "--type-for", "blk.0.attn_norm.weight=q8_r"], "fits no matrix"),
    ],
)
def test_wrong_use(stonechat, tiny_model, tmp_path, flags, message):
    result = stonechat("quantize", tiny_model, tmp_path / "out.gguf", *flags, check=False)
    assert result.returncode == 2 and message in result.stderr and not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize(
    "text, message",
    [("{", "expected JSON"), ('{"rules": [{"tensors": "*", "type": "q5"}]}', "rules[0].type: expected one of")],
)
def test_broken_plan(stonechat, tiny_model, tmp_path, text, message):
    plan = tmp_path / "plan.json"
    plan.write_text(text)
    result = stonechat("quantize", tiny_model, tmp_path / "out.gguf", "--plan", plan, check=False)
    assert result.returncode == 1 and "plan.json" in result.stderr and message in result.stderr
    result = stonechat("quantize", tiny_model, tmp_path / "out.gguf", "--plan", tmp_path / "none.json", check=False)
    assert result.returncode == 1 and "none.json" in result.stderr


# Types found by measuring


def test_search_for_a_target(stonechat, written, tmp_path):
    """The plan holds what was asked for, is written, and gives the same file when it is used."""
    text, plan = tmp_path / "text.txt", tmp_path / "plan.json"
    out, again = tmp_path / "out.gguf", tmp_path / "again.gguf"
    text.write_text(TEXT)
    flags = ["--text", text, "--context", "64", "--windows", "4"]

    def measured(path):
        kl = ["eval", "kl", path, "--against", written[0], "--text", text, "-c", "64", "--windows", "4", "--json"]
        result = json.loads(stonechat(*kl).stdout)
        return result["mean_kl"], result["mean_kl_error"]

    stonechat("quantize", written[0], out, "--type", "q4_0")
    plain, _ = measured(out)
    target = plain / 4
    found = stonechat("quantize", written[0], out, "--type", "q4_0", "--target-kl", target, "--save-plan", plan, *flags)
    kl, error = measured(out)
    assert kl <= target
    line = r"(\d+) of (\d+) stacks q8_0, the rest q4_0: predicted KL ([\d.]+), measured ([\d.]+) \+- ([\d.]+)"
    lines = re.findall(line, found.stdout)
    assert float(lines[-1][3]) == pytest.approx(kl, abs=2e-6)
    assert float(lines[-1][4]) == pytest.approx(error, abs=2e-6)
    assert 0 < int(lines[-1][0]) < int(lines[-1][1]) == 9
    # Stacks stay together, so nothing is held in another format than it is stored in.
    assert "one matrix" not in found.stderr
    stonechat("quantize", written[0], again, "--plan", plan)
    assert again.read_bytes() == out.read_bytes()
    assert {rule["type"] for rule in json.loads(plan.read_text())["rules"]} == {"q8_0"}
    # The same for any number of threads.
    other = tmp_path / "other.json"
    one = ["--type", "q4_0", "--target-kl", target, "--save-plan", other, *flags, "-t", "1", "--dry-run"]
    stonechat("quantize", written[0], tmp_path / "none.gguf", *one)
    assert other.read_bytes() == plan.read_bytes() and not (tmp_path / "none.gguf").exists()


def test_search_within_a_budget(stonechat, written, tmp_path):
    text, out = tmp_path / "text.txt", tmp_path / "out.gguf"
    text.write_text(TEXT)
    flags = ["--type", "q4_0", "--better", "f32", "--text", text, "--context", "64", "--windows", "2"]
    stonechat("quantize", written[0], out, "--type", "q4_0")
    smallest = out.stat().st_size
    result = stonechat("quantize", written[0], out, *flags, "--budget-mib", (smallest + 120_000) / 2**20)
    assert smallest + 60_000 < out.stat().st_size <= smallest + 120_000
    assert re.search(r"[1-8] of 9 stacks f32, the rest q4_0", result.stdout)
    result = stonechat("quantize", written[0], out, *flags, "--budget-mib", smallest / 2**20 - 0.01, check=False)
    assert result.returncode == 1 and "--budget-mib: expected at most" in result.stderr
    assert "with all matrices q4_0" in result.stderr


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--type", "q8_t", "--target-kl", "0.01"], "need --type and --text"),
        (["--text", "x.txt", "--target-kl", "0.01"], "need --type and --text"),
        (["--type", "q8_t", "--text", "x.txt"], "--text: is for --target-kl"),
        (["--type", "q8_0", "--text", "x.txt", "--target-kl", "0.01"], "another type than --type"),
        (["--type", "q8_t", "--text", "x.txt", "--target-kl", "0.01", "--type-for", "*=f16"], "leave out --plan"),
        (["--type", "q8_m", "--text", "x.txt", "--target-kl", "0.01", "--range", "2"], "the search takes the best"),
        (["--type", "q8_t", "--text", "x.txt", "--target-kl", "-1"], "--target-kl"),
    ],
)
def test_wrong_use_of_the_search(stonechat, tiny_model, tmp_path, flags, message):
    result = stonechat("quantize", tiny_model, tmp_path / "out.gguf", *flags, check=False)
    assert result.returncode == 2 and message in result.stderr


def test_target_that_cannot_be_reached(stonechat, written, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    flags = ["--type", "q4_0", "--target-kl", "1e-6", "--text", text, "--context", "64"]
    result = stonechat("quantize", written[0], tmp_path / "out.gguf", *flags, check=False)
    assert result.returncode == 1 and re.search(r"--target-kl: expected a mean KL of at most 1e-06, reached 0\.0", result.stderr)
    assert not (tmp_path / "out.gguf").exists()
