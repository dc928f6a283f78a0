"""`stonechat bench`: llama-bench's flags, columns and fields."""
import csv
import io
import json
import os
import subprocess

import pytest
import tiny_model as tiny

from conftest import ROOT

FIELDS = (
    "build_commit build_number cpu_info backends model_filename model_type model_size model_n_params n_batch n_ubatch "
    "n_threads type_k type_v n_prompt n_gen n_depth n_parallel test_time avg_ns stddev_ns avg_ts stddev_ts samples_ns samples_ts"
).split()


def bench(stonechat, model, *flags):
    return stonechat("bench", "-m", model, *flags, "-r", "2").stdout


@pytest.mark.threads
def test_json_has_the_fields(stonechat, tiny_model):
    results = json.loads(bench(stonechat, tiny_model, "-p", "16,32", "-n", "4", "-pg", "8,2", "-d", "0,8", "-o", "json"))
    assert [(r["n_prompt"], r["n_gen"], r["n_depth"]) for r in results] == [
        (p, n, d) for d in (0, 8) for p, n in ((16, 0), (32, 0), (0, 4), (8, 2))
    ]
    for result in results:
        assert set(FIELDS) <= set(result)
        assert len(result["samples_ts"]) == len(result["samples_ns"]) == 2
        tokens = result["n_prompt"] + result["n_gen"]
        for speed, nanoseconds in zip(result["samples_ts"], result["samples_ns"]):
            assert speed == pytest.approx(tokens * 1e9 / nanoseconds, rel=1e-3)
        assert result["avg_ts"] == pytest.approx(sum(result["samples_ts"]) / 2)


def test_markdown_has_the_columns(stonechat, tiny_model):
    lines = bench(stonechat, tiny_model, "-p", "16", "-n", "4").splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == [
        "model", "size", "params", "backend", "threads", "test", "t/s",
    ]
    cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert cells[5] == "pp16" and " ± " in cells[6] and cells[1].endswith("MiB")


def test_jsonl_and_csv(stonechat, tiny_model):
    lines = bench(stonechat, tiny_model, "-p", "8", "-n", "2", "-o", "jsonl").splitlines()
    assert [json.loads(line)["n_prompt"] for line in lines] == [8, 0]
    rows = list(csv.DictReader(io.StringIO(bench(stonechat, tiny_model, "-p", "8", "-n", "2", "-o", "csv"))))
    assert [row["n_gen"] for row in rows] == ["0", "2"] and float(rows[0]["avg_ts"]) > 0


def test_lists_of_threads_batches_and_llama_bench_spellings(stonechat, tiny_model):
    flags = "-p 8 -n 0 -t 1,2 -b 64 -ub 4,8 -ctk f16 -ctv f16 --no-warmup -o json".split()
    results = json.loads(bench(stonechat, tiny_model, *flags))
    assert [(r["n_threads"], r["n_ubatch"]) for r in results] == [(1, 4), (1, 8), (2, 4), (2, 8)]


def test_lines_of_several_batches_can_be_told_apart(stonechat, tiny_model):
    text = stonechat("bench", "-m", tiny_model, "-p", "8", "-n", "0", "-r", "1", "-ub", "4,8").stdout
    assert "pp8, batch 4" in text and "pp8, batch 8" in text


def test_an_error_leaves_whole_json(stonechat, tiny_model, tmp_path):
    models = f"{tiny_model},{tmp_path}/missing.gguf"
    result = stonechat("bench", "-m", models, "-p", "8", "-n", "0", "-r", "1", "-o", "json", check=False)
    assert result.returncode == 2 and "missing.gguf" in result.stderr
    assert [test["n_prompt"] for test in json.loads(result.stdout)] == [8]


def test_cache_types(stonechat, tiny_model):
    flags = "-p 8 -n 0 -ctk f16,q8_0 -ctv f32,q8_0 --no-warmup".split()
    results = json.loads(bench(stonechat, tiny_model, *flags, "-o", "json"))
    types = [(r["type_k"], r["type_v"]) for r in results]
    assert types == [("f16", "f32"), ("f16", "q8_0"), ("q8_0", "f32"), ("q8_0", "q8_0")]
    sizes = [r["cache_bytes"] for r in results]
    assert sizes[0] > sizes[1] > sizes[3] and sizes[0] > sizes[2] > sizes[3]
    assert "pp8, cache q8_0/f32" in bench(stonechat, tiny_model, *flags)


@pytest.mark.parametrize(
    "flags, word",
    [
        (["-p", "0", "-n", "0"], "nothing to measure"),
        (["-p", "x"], "-p"),
        (["-ctk", "q4_7"], "-ctk: expected f32, f16, q16 or q8_0, got 'q4_7'"),
        (["-ctv", "f16,q5"], "-ctv"),
        (["-o", "xml"], "xml"),
        (["-pg", "7"], "-pg"),
        (["-r", "0"], "-r"),
        (["-npl", "0"], "--parallel"),
        (["--parallel", "1,x"], "--parallel"),
        (["--parallel", "1025"], "--parallel"),
        (["--profile", "-o", "csv"], "--profile: csv"),
    ],
)
def test_wrong_flags(stonechat, tiny_model, flags, word):
    result = stonechat("bench", "-m", tiny_model, *flags, check=False)
    assert result.returncode == 2 and word in result.stderr


# Multiply-adds of one token in the tiny model, counted here from its shapes.
KV = tiny.WIDTH // tiny.HEADS * tiny.KV_HEADS
VOCABULARY = len(tiny.vocabulary()[0])
LAYER_MACS = tiny.WIDTH * (tiny.WIDTH + 2 * KV) + tiny.WIDTH * tiny.WIDTH + 3 * tiny.WIDTH * tiny.MLP
MACS = {
    "embedding": 0, "norm, prepare": 0, "rope, store": 0, "other": 0,
    "qkv": tiny.WIDTH * (tiny.WIDTH + 2 * KV), "attention out": tiny.WIDTH * tiny.WIDTH,
    "gate, up, silu": 2 * tiny.WIDTH * tiny.MLP, "down": tiny.WIDTH * tiny.MLP,
}
ROOFLINE = ["limit_integer_gmacs", "limit_float_gmacs", "limit_read_gbs", "limit", "share", "samples_share",
            "macs_per_token", "attention_macs_per_token", "bytes_per_token"]


def seen(first, tokens):
    """Keys that tokens at positions first, first + 1, ... see, summed."""
    return sum(first + i + 1 for i in range(tokens))


@pytest.mark.aarch64
def test_roofline_json(stonechat, tiny_model):
    """Limits, and what the tests have to do: counted here once more. The model is F32, so FP32 or reading binds."""
    flags = "-p 16 -n 4 -pg 8,2 -d 32 -npl 3 -ctk f16 -ctv f16 --roofline -o json".split()
    plain = json.loads(bench(stonechat, tiny_model, "-p", "16", "-n", "0", "-o", "json"))
    assert not set(ROOFLINE) & set(plain[0])
    results = json.loads(bench(stonechat, tiny_model, *flags))
    assert len(results) == 3
    for result in results:
        assert set(ROOFLINE) <= set(result)
        prompt, generate, sequences = result["n_prompt"], result["n_gen"], result["n_parallel"]
        tokens = sequences * (prompt + generate)
        for key in ROOFLINE[:3]:
            assert 0 < result[key] < 1e6
        assert result["limit"] in ("float", "read")
        layers = tiny.LAYERS * LAYER_MACS * tokens
        head = VOCABULARY * tiny.WIDTH * sequences * generate
        assert result["macs_per_token"] * tokens == pytest.approx(layers + head)
        keys = sequences * tiny.LAYERS * seen(32, prompt + generate)
        assert result["attention_macs_per_token"] * tokens == pytest.approx(2 * tiny.WIDTH * keys)
        # Weights of a layer are read once a pass, whatever the number of sequences; keys and values of 2 bytes.
        passes = generate + (prompt > 0)
        cache = sequences * tiny.LAYERS * 4 * KV * ((32 + prompt if prompt else 0) + seen(32 + prompt, generate))
        weights = 4 * (tiny.LAYERS * LAYER_MACS * passes + VOCABULARY * tiny.WIDTH * generate)
        assert result["bytes_per_token"] * tokens == pytest.approx(weights + cache)
        assert len(result["samples_share"]) == 2 and min(result["samples_share"]) > 0
        assert result["share"] == pytest.approx(sum(result["samples_share"]) / 2)  # the median of two


def test_roofline_markdown(stonechat, tiny_model):
    lines = bench(stonechat, tiny_model, "-p", "16", "-n", "4", "--roofline").splitlines()
    assert cells(lines[0])[-2:] == ["limit", "share"]
    for line, name in zip(lines[2:4], ("pp16", "tg4")):
        assert cells(line)[5] == name and cells(line)[-1].endswith(" %")
        assert cells(line)[-2].split()[0] in ("float", "read")
    header = lines.index(next(line for line in lines if "MB/token" in line))
    assert [cells(line)[1] for line in lines[header + 2 : header + 4]] == ["pp16", "tg4"]
    assert float(cells(lines[header + 2])[3]) == pytest.approx(tiny.LAYERS * LAYER_MACS / 1e6, abs=0.06)
    assert all(float(cell) >= 0 for cell in cells(lines[header + 2])[2:])


def test_roofline_of_q8_0_is_bound_by_integers(stonechat, tiny_model, tmp_path):
    """Of 512 tokens, with the plain kernels: there arithmetic is slower than memory on any machine."""
    model = tmp_path / "q8_0.gguf"
    stonechat("quantize", tiny_model, model, "--type", "q8_0")
    result = stonechat(
        "bench", "-m", model, "-p", "512", "-n", "0", "-r", "1", "--roofline", "-o", "json", env={"STONECHAT_ISA": "scalar"}
    )
    (fields,) = json.loads(result.stdout)
    assert fields["limit"] == "integer" and fields["kernels"] == "scalar"


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.threads
def test_profile_json(stonechat, tiny_model):
    results = json.loads(bench(stonechat, tiny_model, "-p", "16", "-n", "4", "-ub", "8", "--profile", "-o", "json"))
    for result, passes, tokens, keys in zip(results, (2, 4), (16, 4), (seen(0, 16), seen(0, 4))):
        steps = {step.pop("step"): step for step in result["profile"]}
        assert set(steps) == {*MACS, "attention", "head"}
        for name, step in steps.items():
            assert step["seconds"] > 0 and 0 <= step["waiting_seconds"] <= step["seconds"]
            if name in MACS:
                assert step["macs"] == tiny.LAYERS * tokens * MACS[name], name
        assert steps["attention"]["macs"] == 2 * tiny.LAYERS * tiny.WIDTH * keys
        heads = 1 if result["n_prompt"] else 4
        assert steps["head"]["calls"] == heads and steps["head"]["macs"] == heads * VOCABULARY * tiny.WIDTH
        assert steps["embedding"]["calls"] == passes and steps["qkv"]["calls"] == tiny.LAYERS * passes
        assert steps["down"]["bytes"] == tiny.LAYERS * passes * 4 * MACS["down"]
        total = sum(step["seconds"] for step in steps.values())
        assert total == pytest.approx(result["avg_ns"] / 1e9, rel=1e-3)


def test_profile_markdown(stonechat, tiny_model):
    text = bench(stonechat, tiny_model, "-p", "16", "-n", "4", "--profile")
    lines = text.splitlines()
    headers = [i for i, line in enumerate(lines) if line.startswith("| step")]
    assert len(headers) == 2 and text.count("| model") == 2  # each test begins its own table
    for header in headers:
        end = header + lines[header:].index("")
        rows = [cells(line) for line in lines[header + 2 : end]]
        assert [row[0] for row in rows] == [
            "embedding", "norm, prepare", "qkv", "rope, store", "attention", "attention out", "gate, up, silu",
            "down", "head", "other", "all",
        ]
        assert sum(float(row[3].split()[0]) for row in rows[:-1]) == pytest.approx(100, abs=1)
        assert rows[-1][3] == "100.0 %"


@pytest.mark.threads
def test_several_sequences_together(stonechat, tiny_model):
    flags = "-p 8 -n 2 -d 0,4 -npl 1,4 -ub 3 -o json".split()
    results = json.loads(bench(stonechat, tiny_model, *flags))
    assert [(r["n_prompt"], r["n_depth"], r["n_parallel"]) for r in results] == [
        (p, d, n) for d in (0, 4) for n in (1, 4) for p in (8, 0)
    ]
    for result in results:
        tokens = result["n_parallel"] * (result["n_prompt"] + result["n_gen"])
        for speed, nanoseconds in zip(result["samples_ts"], result["samples_ns"]):
            assert speed == pytest.approx(tokens * 1e9 / nanoseconds, rel=1e-3)
    lines = bench(stonechat, tiny_model, "-p", "8", "-n", "2", "-d", "4", "--parallel", "4").splitlines()
    assert [cells(line)[5] for line in lines[2:4]] == ["pp8 x4 @ d4", "tg2 x4 @ d4"]


def test_help_and_completions_know_the_flags(stonechat):
    text = stonechat("bench", "--help").stdout
    for flag in ("--roofline", "--profile", "--parallel"):
        assert flag in text
        for shell in ("bash", "zsh", "fish"):
            name = flag.removeprefix("--") if shell == "fish" else flag
            completion = (ROOT / "completions" / f"stonechat.{shell}").read_text()
            assert name in completion, (flag, shell)


def test_tokenizer_benchmark(binary, tiny_model):
    """The other Google Benchmark programs are run by ctest; this one needs a model."""
    program = binary.parent / "bin/tokenizer_bench"
    if not program.exists():
        pytest.skip("built by the preset dev only")
    words = [program, "--benchmark_min_time=0.001", "--benchmark_format=json"]
    result = subprocess.run(
        words, capture_output=True, text=True, timeout=120, env={**os.environ, "STONECHAT_MODEL": str(tiny_model)}
    )
    assert result.returncode == 0, result.stderr
    results = json.loads(result.stdout)["benchmarks"]
    assert [r["name"] for r in results] == ["tokenizer/encode", "tokenizer/decode"]
    assert all(r["bytes_per_second"] > 0 for r in results)
    without = {name: value for name, value in os.environ.items() if name != "STONECHAT_MODEL"}
    result = subprocess.run(words, capture_output=True, text=True, timeout=120, env=without)
    assert "STONECHAT_MODEL" in result.stdout + result.stderr
