"""`stonechat report`: whole, interrupted, resumed, in parts, and where things go wrong."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess

import gguf
import pytest
import tiny_model as tiny

ROOT = pathlib.Path(__file__).parent.parent.parent
TEXT = "the inn and the mill in the rain, and then the sea. " * 20
QUESTIONS = [
    {"id": "q1", "question": "Where is the inn?", "choices": {"text": ["in the mill", "sea", "an inn"], "label": ["A", "B", "C"]}, "answerKey": "B"},
    {"id": "q2", "question": "What is the rain?", "choices": {"text": ["water", "the sand"], "label": ["1", "2"]}, "answerKey": "1"},
    {"id": "q3", "question": "Where is the rain?", "choices": {"text": ["an inn", "the sea"], "label": ["A", "B"]}, "answerKey": "A"},
]
ENDINGS = [
    {"ind": 1, "activity_label": "Rain", "ctx_a": "The rain is", "ctx_b": "and the inn", "endings": ["wet.", "an inn.", "the sea.", "sand."], "label": 0},
    {"ind": 2, "activity_label": "Sea", "ctx_a": "The sea is", "ctx_b": "and the mill", "endings": ["in the inn.", "then.", "deep.", "thin."], "label": 2},
]
NAMES = ["f32", "q8_0", "q8_0 + q8_0 cache"]


def write_lines(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def write_data(folder):
    write_lines(folder / "arc_c/test.jsonl", QUESTIONS)
    write_lines(folder / "hellaswag/sample.jsonl", ENDINGS)
    return folder


def write_ceval(folder, subjects):
    """Two questions a subject."""
    for split in ("dev", "val"):
        (folder / split).mkdir(parents=True)
        for subject in subjects:
            more = (",explanation", ",rain") if split == "dev" else ("", "")
            (folder / split / f"{subject}_{split}.csv").write_text(
                f"id,question,A,B,C,D,answer{more[0]}\n0,Where is the inn?,sea,mill,rain,sand,B{more[1]}\n1,The sea?,in,an,the,and,C{more[1]}\n"
            )


class Report:
    """Runs `stonechat report` in a directory of its own with a small text."""

    def __init__(self, stonechat, model, folder, cache):
        self.stonechat, self.model, self.folder, self.cache = stonechat, model, folder, cache
        self.out = folder / "out"
        self.text = folder / "text.txt"
        self.text.write_text(TEXT)

    def words(self, *flags):
        words = ["report", self.model, "--quick", "--rounds", "1", "-o", self.out, "--models", self.cache]
        return [*words, "--text", self.text, "-c", "64", *flags]

    def __call__(self, *flags, **keywords):
        return self.stonechat(*self.words(*flags), **keywords)

    def results(self):
        return json.loads((self.out / "results.json").read_text())

    def rows(self, query="SELECT key, rowid FROM steps WHERE status = 'done'"):
        with contextlib.closing(sqlite3.connect(self.out / "results.sqlite")) as database:
            return dict(database.execute(query).fetchall())


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def report(stonechat, tiny_model, tmp_path, cache):
    return Report(stonechat, tiny_model, tmp_path, cache)


@pytest.fixture(scope="module")
def whole(stonechat, tiny_model, tmp_path_factory, cache):
    """A quick report of all parts, not to be changed."""
    folder = tmp_path_factory.mktemp("report")
    run = Report(stonechat, tiny_model, folder, cache)
    run.flags = ["--data", write_data(folder / "data")]
    words = ["eval", "ceval", tiny_model, "--subject", "none", "--data", folder / "data/ceval"]
    write_ceval(folder / "data/ceval", [])
    named = stonechat(*words, check=False).stderr.split("expected one of ")[1].split(", got")[0]
    shutil.rmtree(folder / "data/ceval")
    write_ceval(folder / "data/ceval", named.split(", "))
    run.printed = run(*run.flags)
    return run


def test_all_parts_are_in_the_results(whole):
    results = whole.results()
    assert results["quick"] and results["model"]["parameters"] > 0 and len(results["model"]["sha256"]) == 64
    assert results["command"].startswith("stonechat report ")
    assert results["machine"]["read_gbs"] > 0 and results["machine"]["threads"] >= 1
    variants = {variant["name"]: variant for variant in results["variants"]}
    assert list(variants) == NAMES
    assert [variant["reference"] for variant in results["variants"]] == [True, False, False]
    for name, variant in variants.items():
        assert [speed["test"] for speed in variant["speeds"]] == ["pp256", "tg50"]
        assert all(len(speed["samples"]) == 1 and speed["samples"][0] > 0 for speed in variant["speeds"])
        assert variant["text"]["text"] == "text.txt" and variant["text"]["window"] == 64
        assert ("kl" in variant["text"]) == (name != "f32")
        assert [task["task"] for task in variant["tasks"]] == ["arc_c", "hellaswag", "ceval"]
        assert [task["questions"] for task in variant["tasks"]] == [3, 2, 104]
        assert variant["memory"]["series"]["pss"]["peak"] > 0
    assert variants["f32"]["weights_bytes"] > 3 * variants["q8_0"]["weights_bytes"]
    for task in variants["q8_0"]["tasks"]:
        assert "kept" not in task or task["kept"]["low"] <= task["kept"]["value"] <= task["kept"]["high"]


def test_files_and_summary(whole):
    for name in ("report.html", "report.md", "results.json", "results.sqlite"):
        assert str(whole.out / name) in whole.printed.stdout.splitlines()
        assert (whole.out / name).stat().st_size > 0
    lines = whole.printed.stdout.splitlines()
    assert lines[0].split()[:2] == ["MiB", "prompt"] and [line.split()[0] for line in lines[1:4]] == ["f32", "q8_0", "q8_0"]
    assert "missing" not in whole.printed.stdout
    with contextlib.closing(sqlite3.connect(whole.out / "results.sqlite")) as database:
        answers = database.execute("SELECT id, gold FROM answers WHERE step = 'tasks/arc_c/q8_0' ORDER BY position")
        assert answers.fetchall() == [("q1", 1), ("q2", 0), ("q3", 0)]


def test_ratio_is_that_of_the_answers(whole):
    with contextlib.closing(sqlite3.connect(whole.out / "results.sqlite")) as database:
        def right(variant, field):
            query = f"SELECT {field} = gold FROM answers WHERE step = ? ORDER BY position"
            return sum(row[0] for row in database.execute(query, [f"tasks/arc_c/{variant}"]))

        for variant in whole.results()["variants"][1:]:
            for key, field in (("kept", "choice"), ("kept_norm", "choice_norm")):
                ours, reference = right(variant["name"], field), right("f32", field)
                found = variant["tasks"][0].get(key)
                assert found is None if 0 in (ours, reference) else found["value"] == pytest.approx(ours / reference)


def test_nothing_is_measured_twice(whole):
    before = whole.rows()
    again = whole(*whole.flags)
    assert again.stderr == "" and whole.rows() == before
    assert again.stdout == whole.printed.stdout


@pytest.fixture
def copy(whole, report):
    """The whole report, to be changed."""
    shutil.copytree(whole.out, report.out)
    report.flags = whole.flags
    return report


def test_a_part_is_measured_again(copy):
    before = copy.rows()
    copy(*copy.flags, "--redo", "text")
    after = copy.rows()
    assert before.keys() == after.keys()
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {key for key in before if key.startswith("text/")} and len(changed) == 3


def test_other_inputs_are_measured_anew(copy):
    before = copy.rows()
    copy.text.write_text(TEXT + "And more.")
    write_lines(copy.folder / "data/arc_c/test.jsonl", QUESTIONS[:2])
    result = copy("--data", copy.folder / "data")
    after = copy.rows()
    changed = {key.split("/")[0] for key in before if before[key] != after[key]}
    assert changed == {"text", "tasks"} and "hellaswag: no " in result.stdout
    assert [task["task"] for task in copy.results()["variants"][0]["tasks"]] == ["arc_c"]


def test_only_one_part(report):
    report("--only", "text")
    assert {key.split("/")[0] for key in report.rows()} - {"models"} == {"text"}
    results = report.results()
    assert set(results["missing"]) == {"limits", "speed", "memory", "tasks"}
    assert "no data" in results["missing"]["tasks"] and "not measured" in results["missing"]["speed"]
    assert results["variants"][0]["speeds"] == [] and results["variants"][0]["text"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_report_goes_on(report, command, number):
    """Once the text is measured, while a task of thousands of questions is."""
    data = report.folder / "data"
    write_lines(data / "arc_c/test.jsonl", QUESTIONS * 2000)
    flags = ["--only", "text", "--only", "tasks", "--data", data, "--limit"]
    words = [*command, *map(str, report.words(*flags, 6000))]

    def start():
        # A shell may have started the tests with SIGINT ignored, which children inherit.
        signal.signal(signal.SIGINT, signal.default_int_handler)

    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=start) as process:
        lines = [""]
        while "divergence of q8_0 + q8_0 cache" not in lines[-1]:
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        process.send_signal(number)
        rest = process.stderr.read()
    assert process.returncode == 130 and "The same command goes on from there" in rest, rest
    assert not (report.out / "results.json").exists()
    before = report.rows()
    assert {key for key in before if not key.startswith("models/")} == {f"text/{name}" for name in NAMES}
    report(*flags, 3)
    after = report.rows()
    assert {key: after[key] for key in before} == before and len(after) == len(before) + 3
    assert set(report.results()["missing"]) == {"limits", "speed", "memory", "tasks"}


def test_dry_run_writes_nothing(report, whole):
    text = report("--dry-run").stdout
    assert "speed of q8_0, round 1" in text and "steps, about" in text
    assert not report.out.exists()
    before = whole.rows()
    assert whole(*whole.flags, "--dry-run").stdout.startswith("0 steps")
    assert "divergence of q8_0" in whole(*whole.flags, "--dry-run", "--redo", "text").stdout
    assert whole.rows() == before


def test_directory_of_another_model_or_version(copy, stonechat, tmp_path):
    other = tmp_path / "other.gguf"
    tiny.write(other, seed=2)
    before = copy.rows()
    mine, copy.model = copy.model, other
    result = copy(check=False)
    assert result.returncode == 2 and f"{copy.out}: has the results of another model" in result.stderr
    copy.model = mine
    with contextlib.closing(sqlite3.connect(copy.out / "results.sqlite")) as database, database:
        database.execute("UPDATE report SET value = '0.0.1' WHERE key = 'version'")
    result = copy(check=False)
    assert result.returncode == 2 and "another version: '0.0.1'" in result.stderr and "--fresh" in result.stderr
    assert copy.rows() == before
    copy("--fresh", "--only", "text")
    assert not any(key.startswith("speed/") for key in copy.rows())


def test_broken_task_file_is_named_before_anything_is_measured(report):
    data = write_data(report.folder / "data")
    write_lines(data / "arc_c/test.jsonl", [QUESTIONS[0], {**QUESTIONS[1], "answerKey": "Z"}])
    result = report("--data", data, check=False)
    assert result.returncode == 1 and "test.jsonl:2: answerKey" in result.stderr
    assert not report.out.exists()


def test_step_that_fails_loses_no_other(report):
    """A choice that is longer than the context is found when it is scored."""
    data = write_data(report.folder / "data")
    long = {**QUESTIONS[1], "choices": {"text": ["water", "sand " * 300], "label": ["1", "2"]}}
    write_lines(data / "arc_c/test.jsonl", [QUESTIONS[0], long])
    result = report("--data", data, "--only", "text", "--only", "tasks", check=False)
    assert result.returncode == 1 and "arc_c by q8_0: " in result.stderr and "failed steps: 3; " in result.stderr
    results = report.results()
    assert "arc_c by f32 and 2 more: " in results["missing"]["tasks"] and "text" not in results["missing"]
    assert [task["task"] for task in results["variants"][1]["tasks"]] == ["hellaswag"] and results["variants"][1]["text"]
    write_lines(data / "arc_c/test.jsonl", QUESTIONS)
    report("--data", data, "--only", "tasks")
    assert len(report.results()["variants"][1]["tasks"]) == 2


def test_types_are_made_from_what_the_head_is(stonechat, tmp_path):
    """A head that is a copy of the embedding is dropped; one of its own stays."""
    q8 = gguf.GGMLQuantizationType.Q8_0
    for same in (True, False):
        folder = tmp_path / str(same)
        folder.mkdir()
        embedding = {}

        def change(name, values):
            if name == "token_embd.weight":
                embedding["values"] = values
            return embedding["values"] if same and name == "output.weight" else values

        model = folder / "model.gguf"
        tiny.write(model, separate_head=True, change=change, types=lambda name: q8 if name != "output.weight" else gguf.GGMLQuantizationType.F32)
        run = Report(stonechat, model, folder, folder / "models")
        run("--only", "text")
        for type_name in ("f32", "q8_0"):
            (made,) = (folder / "models").glob(f"*/{type_name}.gguf")
            names = {tensor.name for tensor in gguf.GGUFReader(made).tensors}
            assert "token_embd.weight" in names and ("output.weight" in names) == (not same)


def fill(folder, left):
    """Leaves `left` bytes free."""
    stat = os.statvfs(folder)
    (folder / "fill").write_bytes(b"x" * max(0, stat.f_bavail * stat.f_frsize - left))


def test_full_disk_loses_nothing(report, tiny_disk):
    report.out = tiny_disk / "out"
    report("--only", "text")
    before = report.rows()
    fill(tiny_disk, 0)
    flags = ["--only", "text", "--only", "tasks", "--data", write_data(report.folder / "data")]
    result = report(*flags, check=False)
    assert result.returncode == 1 and ("disk is full" in result.stderr or "No space left" in result.stderr), result.stderr
    (tiny_disk / "fill").unlink()
    report(*flags)
    after = report.rows()
    assert {key: after[key] for key in before} == before and len(after) == len(before) + 6


def test_disk_too_small_for_the_models(report, tiny_disk):
    fill(tiny_disk, 60_000)
    report.cache = tiny_disk / "models"
    result = report(check=False)
    assert result.returncode == 1 and "expected 1 MiB free for the model's files" in result.stderr
    assert not report.out.exists() or not report.rows()


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--types", "q8_0,q9_9"], "q9_9"),
        (["--only", "speeds"], "--only: expected limits"),
        (["--redo", "models"], "--redo: expected limits"),
        (["--data", "."], "has none of arc_c/test.jsonl"),
        (["--rounds", "0"], "--rounds"),
    ],
)
def test_wrong_use(report, flags, expected, tmp_path):
    result = report(*flags, check=False, cwd=tmp_path)
    assert result.returncode == 2 and expected in result.stderr, result.stderr
    assert not report.out.exists()


def test_model_is_needed(stonechat):
    result = stonechat("report", "--quick", check=False)
    assert result.returncode == 2 and "expected a model" in result.stderr


def test_built_in_text(report):
    """Too long for nothing: it is the repository's."""
    words = [word for word in report.words("--only", "text")]
    at = words.index("--text")
    report.stonechat(*words[:at], *words[at + 2 :])
    assert (report.out / "text.txt").read_bytes() == (ROOT / "data/demo_text.txt").read_bytes()
    assert report.results()["variants"][1]["text"]["text"] == "built-in"
