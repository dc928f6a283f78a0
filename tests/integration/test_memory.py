"""Memory of a run: measured while it runs, and by parts."""
import json
import re

import pytest

SERIES = ("rss", "pss", "anonymous", "file")
PARTS = ["weights", "kv_cache", "activations", "logits", "tokenizer", "packing", "other"]


def bench(stonechat, model, *flags):
    output = stonechat("bench", "-m", model, *flags, "--memory", "-o", "json").stdout
    return [result["memory"] for result in json.loads(output)]


def check_memory(memory, tolerance):
    """What holds of any model; parts come from another file of the system than the series, read at another time. So the
    program has to be `own_stonechat`: its pages would count by half while another test runs it too."""
    assert memory["samples"] >= 2
    assert list(memory["series"]) == list(SERIES) and list(memory["parts"]) == PARTS
    for series in memory["series"].values():
        assert 0 < series["minimum"] <= series["median"] <= series["p95"] <= series["peak"]
    peaks = {name: series["peak"] for name, series in memory["series"].items()}
    assert peaks["pss"] <= peaks["rss"] and max(peaks["anonymous"], peaks["file"]) <= peaks["rss"]
    assert all(value >= 0 for value in memory["parts"].values())
    assert sum(memory["parts"].values()) == pytest.approx(peaks["pss"], rel=tolerance)


def check_prediction(memory, small):
    """What the file's header says is what is measured; `small` bytes are pages' rounding and the program itself."""
    predicted = memory["predicted"]
    assert list(predicted["parts"]) == PARTS and predicted["parts"]["packing"] == 0
    for part in PARTS:
        assert predicted["parts"][part] == pytest.approx(memory["parts"][part], rel=0.05, abs=small), part
    assert predicted["peak"] == pytest.approx(memory["series"]["rss"]["peak"], rel=0.05, abs=4 * small)


def tables(text):
    """Rows of the tables: name to numbers."""
    rows = {}
    for line in text.splitlines():
        if match := re.match(r" *([\w() ]+?)((?: +[\d.]+)+)$", line):
            rows[match[1]] = [float(number) for number in match[2].split()]
    return rows


def check_tables(text):
    rows = tables(text)
    for name in ("resident (RSS)", "proportional (PSS)", "anonymous", "of files"):
        assert len(rows[name]) == 4 and rows[name] == sorted(rows[name]), text
    assert rows["RSS since the start"][0] >= rows["resident (RSS)"][3] - 0.2
    check_parts(rows, 2)


def check_parts(rows, columns):
    for column in range(columns):
        parts = [rows[name][column] for name in ("activations", "logits", "tokenizer", "packing", "other")]
        assert sum(parts) == pytest.approx(rows["runtime buffers"][column], abs=0.3)
        total = sum(rows[name][column] for name in ("weights", "KV cache", "runtime buffers"))
        assert total == pytest.approx(rows["all"][column], abs=0.2)


@pytest.mark.threads
def test_bench_json(own_stonechat, tiny_model):
    for memory in bench(own_stonechat, tiny_model, "-p", "64", "-n", "4"):
        check_memory(memory, 0.2)
        assert set(memory["predicted"]) == {"parts", "peak"}
    assert "memory" not in json.loads(own_stonechat("bench", "-m", tiny_model, "-p", "8", "-n", "0", "-o", "json").stdout)[0]


def test_bench_counts_what_the_test_has_in_memory(stonechat, tiny_model):
    """One cache and eight, of 256 tokens as floats: 2 layers x 2 x 32 values a token."""
    flags = "-p 240 -n 0 -r 1 --no-warmup -ctk f32 -ctv f32 -npl".split()
    (one,), (eight,) = (bench(stonechat, tiny_model, *flags, count) for count in (1, 8))
    one_cache = 256 * 2 * 2 * 32 * 4
    assert one["parts"]["kv_cache"] == pytest.approx(one_cache, rel=0.1)
    assert eight["parts"]["kv_cache"] == pytest.approx(8 * one_cache, rel=0.1)
    assert one["predicted"]["parts"]["kv_cache"] == one_cache
    assert eight["predicted"]["parts"]["kv_cache"] == 8 * one_cache


def test_bench_leaves_out_what_the_limits_take(own_stonechat, tiny_model):
    (memory,) = bench(own_stonechat, tiny_model, "-p", "16", "-n", "0", "-r", "1", "--roofline")
    assert memory["series"]["rss"]["peak"] < 512 << 20 and memory["parts"]["other"] < 256 << 20
    check_memory(memory, 0.5)


def test_bench_shows_tables_beside_the_markdown(stonechat, tiny_model):
    plain = stonechat("bench", "-m", tiny_model, "-p", "16", "-n", "2")
    result = stonechat("bench", "-m", tiny_model, "-p", "16", "-n", "2", "--memory")
    assert plain.stderr == "" and len(result.stdout.splitlines()) == len(plain.stdout.splitlines())
    assert result.stderr.count("KV cache") == 2
    check_tables(result.stderr)


def test_bench_has_no_place_for_it_in_csv(stonechat, tiny_model):
    result = stonechat("bench", "-m", tiny_model, "--memory", "-o", "csv", check=False)
    assert result.returncode == 2 and "--memory: csv" in result.stderr


def test_run(stonechat, tiny_model):
    words = ["run", tiny_model, "Once", "-n", "5", "--greedy"]
    plain = stonechat(*words)
    result = stonechat(*words, "--memory")
    assert result.stdout == plain.stdout and plain.stderr == ""
    check_tables(result.stderr)
    assert json.loads(stonechat(*words, "--memory", "--json").stdout)["generated_tokens"] > 0


def eval_words(tiny_model, tmp_path):
    """The three kinds of eval."""
    text = tmp_path / "text.txt"
    text.write_text("the cat and the hat " * 20)
    questions = tmp_path / "questions.jsonl"
    choices = {"text": ["in the inn", "the sea"], "label": ["A", "B"]}
    questions.write_text("".join(
        json.dumps({"id": str(i), "question": "Where?", "choices": choices, "answerKey": "A"}) + "\n" for i in range(3)))
    return [
        ["eval", "ppl", tiny_model, "--text", text, "-c", "32"],
        ["eval", "kl", tiny_model, "--against", tiny_model, "--text", text, "-c", "32"],
        ["eval", "arc_c", tiny_model, "--data", questions],
    ]


def test_eval(stonechat, tiny_model, tmp_path):
    for words in eval_words(tiny_model, tmp_path):
        result = stonechat(*words, "--memory")
        assert result.stdout == stonechat(*words).stdout
        check_tables(result.stderr)


def test_dry_run(stonechat, tiny_model, tmp_path):
    """No text is read and nothing runs: the prompt is missing, and so is what eval reads."""
    for words in [["run", tiny_model], ["bench", "-m", tiny_model, "-p", "64", "-n", "0"],
                  *eval_words(tiny_model, tmp_path)]:
        result = stonechat(*words, "--dry-run")
        assert result.stderr == ""
        rows = tables(result.stdout)
        check_parts(rows, 1)
        assert rows["peak (RSS)"][0] >= rows["weights"][0] and rows["packing"] == [0]


def test_dry_run_json(stonechat, tiny_model):
    def predicted(*flags):
        return json.loads(stonechat("run", tiny_model, "--dry-run", "--json", *flags).stdout)

    token = 2 * 2 * 32 * 2  # 2 layers' keys and values of binary16
    halves = ["-ctk", "f16", "-ctv", "f16"]
    assert predicted("-c", "64", *halves)["parts"]["kv_cache"] == 64 * token
    assert predicted(*halves)["parts"]["kv_cache"] == 256 * token
    assert predicted("-ctk", "q16", "-ctv", "q16")["parts"]["kv_cache"] == 256 * 2 * 2 * (2 * 32 + 4)
    assert predicted("-ctk", "q8_0", "-ctv", "q8_0")["parts"]["kv_cache"] == 256 * 2 * 2 * (32 + 4)
    words = ["bench", "-m", tiny_model, "-p", "64", "-n", "4", "-npl", "2", "--dry-run", "-o", "jsonl", *halves]
    lines = stonechat(*words).stdout
    tests = [json.loads(line) for line in lines.splitlines()]
    assert [test["test"].split(", ")[1] for test in tests] == ["pp64 x2", "tg4 x2"]
    assert [test["parts"]["kv_cache"] for test in tests] == [2 * 64 * token] * 2  # rounded up to 64 positions
    assert all(sum(test["parts"].values()) <= test["peak"] for test in tests)


def test_dry_run_tells_what_is_wrong_with_a_model(stonechat, tmp_path):
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF")
    for words in (["run", path], ["bench", "-m", path], ["eval", "ppl", path, "--text", path]):
        result = stonechat(*words, "--dry-run", check=False)
        assert result.returncode == 1 and str(path) in result.stderr
    result = stonechat("run", tmp_path / "absent.gguf", "--dry-run", check=False)
    assert result.returncode == 2


def test_too_little_memory_is_told_before_loading(stonechat, tiny_model):
    """1,024 caches of 16 million tokens: 4 TB."""
    words = ["-p", "16000000", "-n", "0", "-npl", "1024", "-ctk", "f16", "-ctv", "f16"]
    result = stonechat("bench", "-m", tiny_model, *words, check=False)
    assert result.returncode == 1 and result.stdout == ""
    numbers = re.search(r"needs (\d+) MB of memory \(weights 0, KV cache (\d+), the rest \d+\), but .* (\d+)", result.stderr)
    assert numbers and int(numbers[2]) == pytest.approx(1024 * 16e6 * 256 / 1e6, rel=0.001)
    tokens = re.search(r"what would fit: a context of (\d+) tokens", result.stderr)
    assert tokens and int(tokens[1]) < 16_000_000


@pytest.mark.slow_model
def test_the_reference_is_measured_and_predicted_within_5_percent(own_stonechat, reference_files):
    """Its parts sum to the PSS that was measured beside, and each is what was predicted."""
    for flags in (["-p", "512"], ["-p", "512", "-d", "256", "-ctk", "q8_0", "-ctv", "q8_0"]):
        (memory,) = bench(own_stonechat, reference_files[1], "-n", "0", "-r", "1", "--no-warmup", *flags)
        check_memory(memory, 0.05)
        check_prediction(memory, 2e6)
        assert memory["parts"]["weights"] == pytest.approx(525.1e6, rel=0.01)
