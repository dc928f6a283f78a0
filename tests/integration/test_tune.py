"""`stonechat tune`: its table and file, who uses the file, and what happens when it is broken."""
import json
import os
import pty
import signal
import subprocess
import time

import pytest

FIELDS = ["prompt_threads", "decode_threads", "batch", "token_block", "mlp_piece", "few_tokens"]
ODD = {"prompt_threads": 1, "decode_threads": 3, "batch": 77, "token_block": 48, "mlp_piece": 96, "few_tokens": 0}


@pytest.fixture
def cache(tmp_path):
    return {"STONECHAT_CACHE": str(tmp_path / "cache")}


def tuning_files(cache):
    folder = os.path.join(cache["STONECHAT_CACHE"], "tuning")
    return [os.path.join(folder, name) for name in os.listdir(folder)] if os.path.exists(folder) else []


@pytest.fixture(scope="session")
def measured(stonechat, tiny_model, tmp_path_factory):
    """(what `tune --json` printed, name and content of the file it stored)."""
    cache = {"STONECHAT_CACHE": str(tmp_path_factory.mktemp("tuned"))}
    result = stonechat("tune", tiny_model, "--quick", "--json", env=cache)
    assert result.stderr == ""
    (path,) = tuning_files(cache)
    with open(path) as file:
        return json.loads(result.stdout), path, json.load(file)


@pytest.fixture
def stored(cache, measured):
    """Puts a file for the tiny model into the cache: store(content or tuning) -> its path."""

    def store(content=None, **tuning):
        _, path, file = measured
        file = {**file, "tuning": {**ODD, **tuning}}
        path = os.path.join(cache["STONECHAT_CACHE"], "tuning", os.path.basename(path))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as out:
            out.write(json.dumps(file) if content is None else content)
        return path

    return store


def bench(stonechat, model, cache, *flags):
    words = ["bench", "-m", model, "-p", "16", "-n", "2", "-r", "1", "-o", "json", *flags]
    return json.loads(stonechat(*words, env=cache).stdout)


@pytest.mark.threads
def test_table_and_file(stonechat, tiny_model, cache):
    result = stonechat("tune", tiny_model, "--quick", env=cache)
    assert result.stderr == ""  # no progress where nobody looks
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["field", "unit", "default", "chosen", "speed-up"]
    assert [line.split()[0] for line in lines[1:7]] == FIELDS
    assert lines[8].split() == ["tokens/s", "default", "tuned", "speed-up"]
    assert [line.split()[0] for line in lines[9:12]] == ["prompt", "decode", "few"]
    (path,) = tuning_files(cache)
    assert lines[-1].endswith(f"stored in {path}")
    with open(path) as file:
        stored = json.load(file)
    chosen = {line.split()[0]: int(line.split()[3]) for line in lines[1:7]}
    assert stored["tuning"] == chosen and list(stored) == ["key", "tuning"]
    assert "kernels" in stored["key"] and "layers 2, width 64" in stored["key"]["model"]


def test_json(measured):
    printed, path, stored = measured
    assert printed["file"] == path and printed["key"] == stored["key"] and printed["tuning"] == stored["tuning"]
    assert [field["field"] for field in printed["fields"]] == FIELDS
    for field in printed["fields"]:
        assert printed["tuning"][field["field"]] == field["chosen"]
        assert field["speed_up"] == 1 if field["chosen"] == field["default"] else field["speed_up"] > 1
    assert [work["work"] for work in printed["work"]] == ["prompt", "decode", "few"]
    for work in printed["work"]:
        assert work["tuned_tokens_per_second"] == pytest.approx(
            work["speed_up"] * work["default_tokens_per_second"]
        )
        assert work["speed_up"] >= 0.99
    assert printed["seconds"] > 0


def test_one_file_for_each_set_of_kernels_and_format(stonechat, tiny_model, tmp_path, cache):
    stonechat("tune", tiny_model, "--quick", env=cache)
    stonechat("tune", tiny_model, "--quick", env={**cache, "STONECHAT_ISA": "scalar"})
    stonechat("quantize", tiny_model, tmp_path / "q8.gguf", "--type", "q8_0")
    stonechat("tune", tmp_path / "q8.gguf", "--quick", env=cache)
    assert len(tuning_files(cache)) == 3


def test_bench_tells_and_flags_win(stonechat, tiny_model, cache, stored):
    assert [r["tuned"] for r in bench(stonechat, tiny_model, cache)] == [False, False]
    stored()
    prompt, decode = bench(stonechat, tiny_model, cache)
    assert prompt["tuned"] and decode["tuned"]
    assert (prompt["n_threads"], prompt["n_ubatch"]) == (1, 77)
    assert decode["n_threads"] == 3
    prompt, decode = bench(stonechat, tiny_model, cache, "-t", "2", "-ub", "33")
    assert prompt["tuned"] and (prompt["n_threads"], prompt["n_ubatch"], decode["n_threads"]) == (2, 33, 2)
    for result in bench(stonechat, tiny_model, cache, "--no-tune"):
        assert not result["tuned"] and result["n_ubatch"] == 256


def test_predictions_follow_it(stonechat, tiny_model, tmp_path, cache, stored):
    text = tmp_path / "text.txt"
    text.write_text("the sea and the sand in the sun, " * 20)
    path = stored(batch=9, decode_threads=1)  # each thread has room of its own
    words = {
        "run": ["run", tiny_model, "--json"],
        "eval ppl": ["eval", "ppl", tiny_model, "--text", text, "-c", "128", "--json"],
        "eval kl": ["eval", "kl", tiny_model, "--against", tiny_model, "--text", text, "-c", "128", "--json"],
        "bench": ["bench", "-m", tiny_model, "-p", "200", "-n", "0", "-o", "jsonl"],
    }
    for name, command in words.items():
        tuned, untuned = (
            json.loads(stonechat(*command, "--dry-run", *flags, env=cache).stdout)["parts"]["activations"]
            for flags in ([], ["--no-tune"])
        )
        assert tuned < untuned, name
    (result,) = json.loads(stonechat(*words["bench"][:-1], "json", "--memory", env=cache).stdout)
    predicted = json.loads(stonechat(*words["bench"], "--dry-run", env=cache).stdout)
    assert result["n_ubatch"] == 9
    assert result["memory"]["predicted"]["parts"]["activations"] == predicted["parts"]["activations"]
    # A broken one is told once, though it is read for the prediction and for the run.
    stored(batch=0)
    result = stonechat(*words["run"], "the", "-n", "2", "--memory", env=cache)
    assert result.stderr.count(path) == 1


def words_of_commands(tiny_model, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the sea and the sand in the sun, " * 20)
    return {
        "run": (["run", tiny_model, "the " * 40, "-n", "8", "--greedy"], None),
        "chat": (["chat", tiny_model, "-n", "8", "--greedy"], "the " * 30),
        "eval ppl": (["eval", "ppl", tiny_model, "--text", text, "-c", "100", "--json"], None),
        "eval kl": (["eval", "kl", tiny_model, "--against", tiny_model, "--text", text, "-c", "100", "--json"], None),
    }


@pytest.mark.parametrize("name", ["run", "chat", "eval ppl", "eval kl"])
def test_commands_use_it_silently(stonechat, tiny_model, tmp_path, cache, stored, name):
    words, text = words_of_commands(tiny_model, tmp_path)[name]
    plain = stonechat(*words, input=text, env=cache)
    stored()
    tuned = stonechat(*words, input=text, env=cache)
    assert tuned.stdout == plain.stdout and tuned.stderr == plain.stderr
    # That it is read shows when it is broken.
    path = stored(batch=0)
    broken = stonechat(*words, input=text, env=cache)
    assert broken.stdout == plain.stdout
    (line,) = broken.stderr.splitlines()
    assert path in line and "tuning.batch: expected an integer from 1 to 65536, found 0" in line
    without = stonechat(*words, "--no-tune", input=text, env=cache)
    assert without.stdout == plain.stdout and without.stderr == ""


@pytest.mark.parametrize(
    "content, word",
    [
        ("", "expected JSON"),
        ("{", "expected JSON"),
        ('{"key": {}}', "key.cpu: expected"),
        ("x" * 20000, "expected at most 16384 bytes"),
        ("[" * 10000, "expected JSON of at most 32 levels"),
    ],
)
def test_broken_files(stonechat, tiny_model, cache, stored, content, word):
    path = stored(content)
    result = stonechat("run", tiny_model, "the", "-n", "2", env=cache)
    assert result.stderr.count("\n") == 1 and path in result.stderr and word in result.stderr


@pytest.mark.parametrize(
    "tuning, word",
    [
        ({"token_block": 50}, "tuning.token_block: expected 48 to 768 tokens that are multiples of 48, found 50"),
        ({"mlp_piece": "64\n\x1b[31m"}, r"tuning.mlp_piece: expected an integer from 32 to 1024, found '64\n\x1b"),
        ({"decode_threads": 0}, "tuning.decode_threads: expected 1 or more"),
        ({"prompt_threads": 10**12}, "tuning.prompt_threads"),
        ({"unknown": 1}, "tuning.unknown: no such field"),
    ],
)
def test_values_out_of_range(stonechat, tiny_model, cache, stored, tuning, word):
    path = stored(**tuning)
    result = stonechat("run", tiny_model, "the", "-n", "2", env=cache)
    assert result.stderr.count("\n") == 1 and path in result.stderr and word in result.stderr
    assert [r["tuned"] for r in bench(stonechat, tiny_model, cache)] == [False, False]


def test_a_file_of_another_machine(stonechat, tiny_model, cache, stored, measured):
    other = json.dumps({**measured[2], "key": {**measured[2]["key"], "cpu": "Cray-1"}})
    path = stored(other)
    result = stonechat("run", tiny_model, "the", "-n", "2", env=cache)
    assert f"{path}: key.cpu: expected " in result.stderr and "found 'Cray-1'" in result.stderr
    # Measuring anew replaces it.
    stonechat("tune", tiny_model, "--quick", env=cache)
    assert stonechat("run", tiny_model, "the", "-n", "2", env=cache).stderr == ""


def test_a_cache_that_cannot_be_written(stonechat, tiny_model, tmp_path):
    (tmp_path / "file").write_text("")
    result = stonechat("tune", tiny_model, env={"STONECHAT_CACHE": str(tmp_path / "file")}, check=False)
    assert result.returncode == 1 and result.stdout == ""
    assert f"{tmp_path}/file/tuning: cannot create the directory: Not a directory" in result.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_cache(stonechat, tiny_model, tmp_path):
    folder = tmp_path / "cache"
    (folder / "tuning").mkdir(parents=True)
    (folder / "tuning").chmod(0o555)
    result = stonechat("tune", tiny_model, env={"STONECHAT_CACHE": str(folder)}, check=False)
    assert result.returncode == 1 and f"{folder}/tuning" in result.stderr and "ermission denied" in result.stderr


def test_a_cache_in_a_read_only_filesystem(stonechat, tiny_model):
    result = stonechat("tune", tiny_model, env={"STONECHAT_CACHE": "/proc/self"}, check=False)
    assert result.returncode == 1 and "/proc/self/tuning: cannot create the directory" in result.stderr


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["--fast"], "--fast"),
        (["no-such-model.gguf"], "no-such-model.gguf"),
        (["a.gguf", "b.gguf"], "b.gguf"),
        (["--quick=maybe"], "quick"),
        ([], "tune: name a model"),
    ],
)
def test_wrong_use(stonechat, cache, arguments, word):
    env = {**cache, "HF_HOME": cache["STONECHAT_CACHE"], "HF_HUB_CACHE": ""}
    result = stonechat("tune", *arguments, env=env, check=False)
    assert result.returncode == 2 and result.stdout == "" and word in result.stderr
    assert tuning_files(cache) == []


def test_a_file_that_is_no_model(stonechat, tmp_path, cache):
    (tmp_path / "text.gguf").write_text("not a model")
    result = stonechat("tune", tmp_path / "text.gguf", env=cache, check=False)
    assert result.returncode == 1 and "magic" in result.stderr and tuning_files(cache) == []


def test_progress_on_a_terminal(command, tiny_model, cache):
    outer, inner = pty.openpty()
    words = [*command, "tune", str(tiny_model), "--quick"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=inner, env={**os.environ, **cache})
    os.close(inner)
    shown = b""
    try:
        while piece := os.read(outer, 4096):
            shown += piece
    except OSError:  # the program has closed its side
        pass
    process.communicate(timeout=100)
    os.close(outer)
    assert process.returncode == 0
    assert b" comparisons, " in shown and b"  tune" in shown and shown.endswith(b"\r\x1b[K")


@pytest.fixture(scope="session")
def tuned_reference(stonechat, reference, tmp_path_factory):
    """(environment with a cache of its own that has the reference's file and its tuning, what `tune` printed)."""
    folder = tmp_path_factory.mktemp("tuned-reference")
    (folder / "models").mkdir()
    (folder / "models" / reference.name).symlink_to(reference)
    cache = {"STONECHAT_CACHE": str(folder)}
    return cache, json.loads(stonechat("tune", "--quick", "--json", env=cache).stdout)


@pytest.mark.slow_model
def test_the_reference_is_the_default(tuned_reference, reference):
    cache, printed = tuned_reference
    assert printed["model"] == os.path.join(cache["STONECHAT_CACHE"], "models", reference.name)
    assert "layers 24, width 896" in printed["key"]["model"]


def catches(process, number):
    with open(f"/proc/{process.pid}/status") as status:
        caught = next(line.split()[1] for line in status if line.startswith("SigCgt"))
    return int(caught, 16) >> (number - 1) & 1 == 1


@pytest.mark.slow_model
def test_interrupt_leaves_the_old_file(command, tuned_reference):
    cache, printed = tuned_reference

    def interrupt():
        words = [*command, "tune"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(words, env={**os.environ, **cache}, **pipes)
        while not catches(process, signal.SIGINT):  # it has loaded the model then
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130 and out == "" and "interrupted" in err

    path = printed["file"]
    assert tuning_files(cache) == [path]
    with open(path, "w") as file:
        file.write("old")
    interrupt()
    assert tuning_files(cache) == [path]
    with open(path) as file:
        assert file.read() == "old"
    os.remove(path)
    interrupt()
    assert tuning_files(cache) == []
