"""`stonechat bench`: llama-bench's flags, columns and fields."""
import csv
import io
import json

import pytest

FIELDS = (
    "build_commit build_number cpu_info backends model_filename model_type model_size model_n_params n_batch n_ubatch "
    "n_threads type_k type_v n_prompt n_gen n_depth test_time avg_ns stddev_ns avg_ts stddev_ts samples_ns samples_ts"
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


@pytest.mark.parametrize(
    "flags, word",
    [
        (["-p", "0", "-n", "0"], "nothing to measure"),
        (["-p", "x"], "-p"),
        (["-ctk", "q4_7"], "-ctk"),
        (["-o", "xml"], "xml"),
        (["-pg", "7"], "-pg"),
        (["-r", "0"], "-r"),
    ],
)
def test_wrong_flags(stonechat, tiny_model, flags, word):
    result = stonechat("bench", "-m", tiny_model, *flags, check=False)
    assert result.returncode == 2 and word in result.stderr
