"""`stonechat convert` and `stonechat quantize` against the gguf package."""
import contextlib
import resource
import shutil
import signal
import subprocess
import time

import gguf
import numpy as np
import pytest
import tiny_model

F32, Q8_0 = gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.Q8_0


def tensors(path):
    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


def floats(tensor):
    shape = tuple(int(size) for size in reversed(tensor.shape))
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(shape)


def stored(tensor):
    return np.ascontiguousarray(tensor.data).view(np.uint8).tobytes()


@pytest.mark.slow_model
def test_f32_and_q8_0_of_a_real_model(smollm2, smollm2_files):
    f32, q8 = map(tensors, smollm2_files)
    original = tensors(smollm2)
    assert list(original) == list(f32) == list(q8)
    for name, tensor in original.items():
        expected = floats(tensor)
        assert f32[name].tensor_type == F32
        assert np.array_equal(floats(f32[name]).view(np.uint32), expected.view(np.uint32)), name
        if expected.ndim == 1:
            assert q8[name].tensor_type == F32 and np.array_equal(floats(q8[name]), expected)
        else:
            assert q8[name].tensor_type == Q8_0
            assert stored(q8[name]) == gguf.quants.quantize(expected, Q8_0).tobytes(), name


@pytest.mark.slow_model
def test_reference_types_and_tied_embedding(reference, reference_files):
    f32, q8 = map(tensors, reference_files)
    original = tensors(reference)
    assert "output.weight" in original and "output.weight" not in f32
    assert sum(int(np.prod(tensor.shape)) for tensor in f32.values()) == 494_032_768
    assert sum(tensor.n_bytes for tensor in q8.values()) / 2**20 == pytest.approx(500.79, abs=0.005)
    by_type = {tensor.tensor_type: name for name, tensor in original.items() if name != "token_embd.weight"}
    assert {kind.name for kind in by_type} >= {"Q4_K", "Q5_0", "Q6_K"}
    for name in by_type.values():
        source = name if name != "output.weight" else "token_embd.weight"
        assert np.array_equal(floats(f32[source]).view(np.uint32), floats(original[name]).view(np.uint32)), name
    # The embedding's values are Q8_0 already, so quantizing gives its bytes back.
    assert stored(q8["token_embd.weight"]) == stored(original["output.weight"])


# The package encodes these; K types it only decodes, so those get random bytes below.
ENCODED = ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]


@pytest.mark.parametrize("kind", ENCODED)
def test_decodes_type(stonechat, tmp_path, kind):
    kind = gguf.GGMLQuantizationType[kind]
    source, out = tmp_path / "in.gguf", tmp_path / "out.gguf"
    tiny_model.write(source, types=lambda name: kind)
    stonechat("convert", source, out, "--to", "f32")
    original, converted = tensors(source), tensors(out)
    for name in original:
        assert np.array_equal(floats(converted[name]), floats(original[name])), name


@pytest.mark.parametrize("kind", ["Q4_K", "Q5_K", "Q6_K"])
def test_decodes_k_type(stonechat, tmp_path, kind):
    kind = gguf.GGMLQuantizationType[kind]
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    random = np.random.default_rng(3)
    raw = random.integers(0, 256, (8, block_bytes), dtype=np.uint8)
    halves = np.float16(random.uniform(-2, 2, (8, 2))).view(np.uint8)
    if kind == gguf.GGMLQuantizationType.Q6_K:
        raw[:, -2:] = halves[:, :2]
    else:
        raw[:, :4] = halves
    source, out = tmp_path / "in.gguf", tmp_path / "out.gguf"
    writer = gguf.GGUFWriter(str(source), "llama")
    writer.add_tensor("matrix", raw.reshape(4, 2 * block_bytes), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    stonechat("convert", source, out, "--to", "f32")
    assert np.array_equal(floats(tensors(out)["matrix"]), gguf.quants.dequantize(raw, kind).reshape(4, 2 * block))


@pytest.mark.aarch64
@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_half_types_round_like_the_package(stonechat, tmp_path, tiny_model, kind):
    out = tmp_path / "out.gguf"
    stonechat("convert", tiny_model, out, "--to", kind)
    wanted = gguf.GGMLQuantizationType[kind.upper()]
    for name, tensor in tensors(out).items():
        source = floats(tensors(tiny_model)[name])
        if source.ndim == 1:
            assert tensor.tensor_type == F32
        else:
            assert tensor.tensor_type == wanted
            assert stored(tensor) == gguf.quants.quantize(source, wanted).tobytes()


@pytest.mark.aarch64
def test_q8_0_edge_values_equal_the_package(stonechat, tmp_path):
    def change(name, values):
        if name == "blk.0.ffn_gate.weight":
            values[0] = 0
            values[1] = np.linspace(-1, 1, values.shape[1])
            values[2] = 1e-8
            values[3] = np.where(np.arange(values.shape[1]) % 2, 127.5, -0.5)
            values[4] = 60000
        return values

    source, out = tmp_path / "in.gguf", tmp_path / "out.gguf"
    written = tiny_model.write(source, change=change)
    stonechat("quantize", source, out, "--type", "q8_0")
    for name, tensor in tensors(out).items():
        if written[name].ndim > 1:
            assert stored(tensor) == gguf.quants.quantize(written[name], Q8_0).tobytes(), name


def test_metadata_is_kept(stonechat, tiny_model, tmp_path):
    out = tmp_path / "out.gguf"
    stonechat("quantize", tiny_model, out, "--type", "q8_0")
    before, after = gguf.GGUFReader(tiny_model).fields, gguf.GGUFReader(out).fields
    for key, field in before.items():
        if not key.startswith("GGUF.") and key != "general.file_type":
            assert after[key].contents() == field.contents(), key
    assert after["general.file_type"].contents() == 7
    assert after["general.quantization_version"].contents() == 2


def test_same_bytes_for_any_number_of_threads(stonechat, tiny_model, tmp_path):
    files = [tmp_path / f"{threads}.gguf" for threads in (1, 2, 5)]
    for threads, path in zip((1, 2, 5), files):
        stonechat("quantize", tiny_model, path, "--type", "q8_0", "-t", threads)
    assert len({path.read_bytes() for path in files}) == 1


def test_dry_run_writes_nothing_and_predicts_the_size(stonechat, tiny_model, tmp_path):
    out = tmp_path / "out.gguf"
    text = stonechat("quantize", tiny_model, out, "--type", "q8_0", "--dry-run").stdout
    assert not out.exists()
    stonechat("quantize", tiny_model, out, "--type", "q8_0")
    assert f"the file would have {out.stat().st_size} bytes" in text


@pytest.mark.slow_model
def test_quantize_needs_little_memory(command, reference_files, tmp_path):
    process = subprocess.Popen(
        [*command, "quantize", str(reference_files[0]), str(tmp_path / "q8.gguf"), "--type", "q8_0"],
        stdout=subprocess.DEVNULL,
    )
    peak = 0
    # The peak of the process so far; rusage would count this Python before it became the program.
    while process.poll() is None:
        with contextlib.suppress(OSError, StopIteration):
            lines = open(f"/proc/{process.pid}/status").read().splitlines()
            peak = max(peak, int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]))
        time.sleep(0.002)
    assert process.returncode == 0
    assert 10_000 < peak < 300e6 / 1024, "KiB"


# --tie-embeddings


def tie(stonechat, source, out, check=True):
    return stonechat("convert", source, out, "--to", "f32", "--tie-embeddings", check=check)


def write_twins(path, change=None):
    """A model with its embedding as Q5_0 and the same values as Q8_0 head."""
    kinds = {"token_embd.weight": "Q5_0", "output.weight": "Q8_0"}
    same = {}

    def twin(name, values):
        if name in kinds:
            values = same.setdefault("values", values)
        return change(name, values.copy()) if change else values

    return tiny_model.write(
        path, separate_head=True, change=twin,
        types=lambda name: gguf.GGMLQuantizationType[kinds.get(name, "F32")],
    )


def test_tie_takes_the_more_precise_copy(stonechat, tmp_path):
    source, out = tmp_path / "in.gguf", tmp_path / "out.gguf"
    write_twins(source)
    result = tie(stonechat, source, out)
    assert "output.weight" in result.stderr and "Q8_0" in result.stderr
    converted = tensors(out)
    assert "output.weight" not in converted
    assert np.array_equal(floats(converted["token_embd.weight"]), floats(tensors(source)["output.weight"]))


def test_tie_refuses_different_values(stonechat, tmp_path):
    def change(name, values):
        if name == "output.weight":
            values[17, 5] += 4 * np.abs(values[17]).max() / 16
        return values

    source, out = tmp_path / "in.gguf", tmp_path / "out.gguf"
    write_twins(source, change)
    result = tie(stonechat, source, out, check=False)
    assert result.returncode == 1 and not out.exists()
    assert "not the same values" in result.stderr and "row 17" in result.stderr


def test_tie_of_a_tied_model_says_so(stonechat, tiny_model, tmp_path):
    assert "tied already" in tie(stonechat, tiny_model, tmp_path / "out.gguf").stderr


# Refusals


def refused(stonechat, *arguments):
    result = stonechat(*arguments, check=False)
    assert result.returncode in (1, 2) and result.stderr.startswith("stonechat: ")
    return result.stderr


def test_output_equal_to_the_input(stonechat, tiny_model, tmp_path):
    link = tmp_path / "link.gguf"
    link.symlink_to(tiny_model)
    before = tiny_model.read_bytes()
    for out in (tiny_model, link):
        assert "the output is the input" in refused(stonechat, "quantize", tiny_model, out, "--type", "q8_0")
        assert "the output is the input" in refused(stonechat, "convert", tiny_model, out, "--to", "f32")
    assert tiny_model.read_bytes() == before


def test_plan_that_would_replace_another_file(stonechat, tiny_model, tmp_path):
    model, out, plan = tmp_path / "model.gguf", tmp_path / "out.gguf", tmp_path / "plan.json"
    shutil.copy(tiny_model, model)
    words = ["quantize", model, out, "--type", "q8_0", "--save-plan"]
    assert "the output is the input" in refused(stonechat, *words, model)
    assert "--save-plan" in refused(stonechat, *words, out)
    assert model.read_bytes() == tiny_model.read_bytes() and not out.exists()
    stonechat(*words, plan)
    rules = ["quantize", model, plan, "--plan", plan]
    assert "the output is an input" in refused(stonechat, *rules)


def test_search_looks_at_its_outputs_first(stonechat, tiny_model, tmp_path):
    (tmp_path / "text").write_text("the model " * 40)
    search = ["--type", "q8_t", "--target-kl", "0.01", "--text", tmp_path / "text"]
    for more in ([tmp_path / "no/out.gguf"], [tmp_path / "out.gguf", "--save-plan", tmp_path / "no/plan.json"]):
        result = stonechat("quantize", tiny_model, *more, *search, check=False)
        assert result.returncode == 1 and "no/" in result.stderr and "sensitivity" not in result.stdout


@pytest.mark.parametrize("flag", ["--better", "--text", "--context", "--windows"])
def test_flags_of_the_search_are_refused_without_it(stonechat, tiny_model, tmp_path, flag):
    value = {"--better": "f16", "--text": tiny_model}.get(flag, 4)
    message = refused(stonechat, "quantize", tiny_model, tmp_path / "out.gguf", "--type", "q8_0", flag, value)
    assert f"{flag}: is for --target-kl and --budget-mib" in message


def test_values_that_are_not_finite(stonechat, tmp_path):
    def change(name, values):
        if name == "blk.1.ffn_down.weight":
            values[3, 7] = np.nan
        return values

    source = tmp_path / "in.gguf"
    tiny_model.write(source, change=change)
    for arguments in (["quantize", "--type", "q8_0"], ["convert", "--to", "f32"]):
        message = refused(stonechat, arguments[0], source, tmp_path / "out.gguf", *arguments[1:])
        assert "blk.1.ffn_down.weight" in message and "finite" in message
    assert "blk.1.ffn_down.weight" in refused(stonechat, "run", source, "x")
    assert list(tmp_path.iterdir()) == [source]


def test_values_too_large_for_f16(stonechat, tmp_path):
    source = tmp_path / "in.gguf"
    tiny_model.write(source, change=lambda name, values: values * 1e6 if "ffn_up" in name else values)
    message = refused(stonechat, "convert", source, tmp_path / "out.gguf", "--to", "f16")
    assert "ffn_up" in message and "F16" in message


def test_unknown_architecture(stonechat, tmp_path):
    source = tmp_path / "in.gguf"
    tiny_model.write(source, arch="gemma")
    message = refused(stonechat, "quantize", source, tmp_path / "out.gguf", "--type", "q8_0")
    assert "general.architecture: expected qwen2 or llama, found 'gemma'" in message


def test_unknown_type_flag(stonechat, tiny_model, tmp_path):
    assert stonechat("quantize", tiny_model, tmp_path / "o", "--type", "q3", check=False).returncode == 2


def test_directory_that_is_not_there(stonechat, tiny_model, tmp_path):
    message = refused(stonechat, "quantize", tiny_model, tmp_path / "no/out.gguf", "--type", "q8_0")
    assert "no/out.gguf" in message


# Files appear whole or not at all


def test_killed_at_random_points_leaves_the_old_file(command, smollm2, tmp_path):
    out = tmp_path / "out.gguf"
    out.write_bytes(b"old")
    random = np.random.default_rng()
    outcomes = set()
    for _ in range(12):
        process = subprocess.Popen(
            [*command, "convert", str(smollm2), str(out), "--to", "bf16"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        time.sleep(float(random.uniform(0.02, 0.8)))
        process.send_signal(random.choice([signal.SIGKILL, signal.SIGTERM]))
        process.wait()
        whole = out.read_bytes()[:4] == b"GGUF"
        outcomes.add(whole)
        if whole:
            assert len(gguf.GGUFReader(out).tensors) == 272
            out.unlink()
            out.write_bytes(b"old")
        else:
            assert out.read_bytes() == b"old"
        assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".gguf")] == ["out.gguf"]
    assert False in outcomes


def limit_file_size():
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def test_write_that_fails_leaves_the_old_file(stonechat, tiny_model, tmp_path):
    out = tmp_path / "out.gguf"
    out.write_bytes(b"old")
    result = stonechat("convert", tiny_model, out, "--to", "f32", check=False, preexec_fn=limit_file_size)
    assert result.returncode == 1 and "out.gguf: cannot write" in result.stderr
    assert out.read_bytes() == b"old" and [path.name for path in tmp_path.iterdir()] == ["out.gguf"]


def test_disk_too_small_is_told_before_any_work(stonechat, smollm2, tiny_disk):
    result = stonechat("quantize", smollm2, tiny_disk / "out.gguf", "--type", "q8_0", check=False)
    assert result.returncode == 1 and "MiB free" in result.stderr
    assert list(tiny_disk.iterdir()) == []
