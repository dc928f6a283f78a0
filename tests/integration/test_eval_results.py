"""`stonechat eval ... --results`: an interrupted run goes on, and ends as one that wasn't interrupted."""
import json
import os
import signal
import sqlite3
import subprocess
import time

import pytest

import tiny_model as tiny

CHANGING = ("seconds", "tokens", "resumed")


def questions(count):
    words = ["the sea", "an inn", "the mill and the inn", "rain"]
    return [
        {"id": f"q{i}", "goal": f"Where is {words[i % 4]} {i}?", "sol1": words[(i + 1) % 4], "sol2": words[(i * i) % 3], "label": i % 2}
        for i in range(count)
    ]


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def outcome(result, samples):
    return {key: value for key, value in json.loads(result.stdout).items() if key not in CHANGING}, samples.read_text()


def count_answers(path):
    if not path.exists():
        return 0
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        try:
            return database.execute("SELECT count(*) FROM task_answers").fetchone()[0]
        except sqlite3.OperationalError:
            return 0  # not made yet, or being written


def interrupted_run(command, words, results, how):
    """Sends the signal once some answers are kept. Returns (exit code, standard error)."""
    process = subprocess.Popen(
        [*command, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while count_answers(results) == 0 and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(how)
    err = process.communicate()[1]
    return process.returncode, err


@pytest.mark.parametrize("how, code", [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_interrupted_and_resumed(command, stonechat, tiny_model, tmp_path, how, code):
    results, samples = tmp_path / "r.sqlite", tmp_path / "s.jsonl"
    for count in (1000, 4000, 16000):  # more where this machine is done before the signal comes
        data = write(tmp_path / "q.jsonl", questions(count))
        words = ["eval", "piqa", tiny_model, "--data", data, "--shots", "2", "--json"]
        kept_words = [*words, "--results", results, "--samples-out", samples]
        found, err = interrupted_run(command, kept_words, results, how)
        if found != 0:
            break
        results.unlink()
        samples.unlink()
    assert found == code, err
    kept = count_answers(results)
    assert 0 < kept < count and not samples.exists()
    if how == signal.SIGINT:
        assert f"interrupted after {kept} of {count} questions; the same command goes on from there" in err
    resumed = stonechat(*kept_words)
    assert f"r.sqlite has {kept} of {count} answers; going on from there" in resumed.stderr
    assert json.loads(resumed.stdout)["resumed"] == kept
    whole = stonechat(*words, "--samples-out", tmp_path / "whole.jsonl")
    assert outcome(resumed, samples) == outcome(whole, tmp_path / "whole.jsonl")
    assert samples.read_text().count("\n") == count


@pytest.fixture
def run(stonechat, tiny_model, tmp_path):
    data = write(tmp_path / "q.jsonl", questions(6))

    def run(*flags, model=tiny_model, data=data, code=0):
        words = ["eval", "piqa", model, "--data", data, "--json", "--results", tmp_path / "r.sqlite", *flags]
        result = stonechat(*words, check=False)
        assert result.returncode == code, result.stderr
        return json.loads(result.stdout)["resumed"] if code == 0 else result.stderr

    return run


def test_only_the_same_run_goes_on(run, tmp_path):
    assert run("--limit", "2") == 0
    assert run("--limit", "4") == 2  # --limit doesn't change answers
    assert run() == 4
    assert run("--limit", "3") == 3
    assert run("-t", "2") == 6
    for changed in (["-c", "200"], ["-ctk", "q8_0"], ["--shots", "1"], ["--shots", "1", "--seed", "5"]):
        assert run(*changed) == 0, changed
        assert run(*changed) == 6, changed
    model = tmp_path / "other.gguf"
    tiny.write(model, seed=2)
    assert run(model=model) == 0
    tiny.write(model)  # the weights of the first
    assert run(model=model) == 6
    assert run(data=write(tmp_path / "copy.jsonl", questions(6))) == 6
    assert run(data=write(tmp_path / "copy.jsonl", questions(7))) == 0
    assert run("--fresh") == 0
    assert run("--shots", "1") == 6  # which --fresh left alone


def test_a_finished_run_needs_no_weights(run, tmp_path):
    """Its answers are all there: the model is only read to see that it is the same."""
    model = tmp_path / "tiny.gguf"
    tiny.write(model)
    run(model=model)
    with sqlite3.connect(tmp_path / "r.sqlite") as database:
        database.execute("UPDATE task_answers SET log_likelihoods = '[-1, -2]'")
    assert run("--samples-out", tmp_path / "s.jsonl", model=model) == 6
    assert {tuple(json.loads(line)["log_likelihoods"]) for line in (tmp_path / "s.jsonl").read_text().splitlines()} == {(-1, -2)}


def test_what_is_no_results_file_is_refused(run, tmp_path):
    results = tmp_path / "r.sqlite"
    results.write_text("not a database, whatever its name says; " * 40)
    assert "r.sqlite: file is not a database" in run(code=1)
    results.unlink()
    run("--limit", "3")
    with sqlite3.connect(results) as database:
        database.execute("UPDATE task_answers SET log_likelihoods = '[0]' WHERE question = 1")
    assert "task_answers: run 1, question 1: log_likelihoods: expected 2 numbers" in run(code=1)
    assert run("--fresh") == 0
    assert f"{results}: the output is an input" in run("--samples-out", results, code=2)
    assert run() == 6


def test_fresh_needs_results(stonechat, tiny_model, tmp_path):
    result = stonechat("eval", "piqa", tiny_model, "--data", write(tmp_path / "q.jsonl", questions(2)), "--fresh", check=False)
    assert result.returncode == 2 and "--fresh" in result.stderr


def test_a_full_disk_is_told_and_the_answers_stay(stonechat, tiny_model, tiny_disk, tmp_path):
    data = write(tmp_path / "q.jsonl", questions(3))
    words = ["eval", "piqa", tiny_model, "--data", data, "--json", "--results", tiny_disk / "r.sqlite"]
    stonechat(*words, "--limit", "1")
    filler = tiny_disk / "filler"
    with open(filler, "wb") as file, pytest.raises(OSError):
        while True:
            os.write(file.fileno(), b"x" * 4096)
    result = stonechat(*words, check=False)
    assert result.returncode == 1 and "r.sqlite: database or disk is full" in result.stderr, result.stderr
    filler.unlink()
    assert json.loads(stonechat(*words).stdout)["resumed"] == 1
