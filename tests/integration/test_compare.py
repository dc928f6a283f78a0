"""tools/compare: takes turns with other programs and reports medians. The programs here are made up, but for one test."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import xml.etree.ElementTree
import time

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent

# A llama-bench that logs how it was called and says what its `answers` say, the next one each time.
FAKE = """#!{python}
import json, os, pathlib, sys, time
here = pathlib.Path(__file__)
setup = json.loads(here.with_suffix(".json").read_text())
if "--help" in sys.argv:
    print(setup["help"])
    sys.exit(setup.get("help_exit", 0))
with open(setup["log"], "a") as log:
    log.write(json.dumps([here.stem, *sys.argv[1:]]) + "\\n")
flags = sys.argv[2:] if sys.argv[1] == "bench" else sys.argv[1:]
flag = dict(zip(flags[::2], flags[1::2]))
calls = here.with_suffix(".calls")
done = len(calls.read_text()) if calls.exists() else 0
calls.write_text("x" * (done + 1))
answer = setup["answers"][done % len(setup["answers"])]
if isinstance(answer, dict) and "exit" in answer:
    print(answer.get("stderr", ""), file=sys.stderr)
    sys.exit(answer["exit"])
if isinstance(answer, dict) and "sleep" in answer:
    pathlib.Path(setup["log"] + ".asleep").touch()
    time.sleep(answer["sleep"])
if isinstance(answer, str):
    print(answer)
    sys.exit()
prompt, gen = (flag["-gp"].split(",") if "-gp" in flag else (flag["-p"], flag["-n"]))
result = dict(build_commit="c0ffee", build_number=7, cpu_info="Fake CPU", backends="CPU", model_filename=flag["-m"],
              model_type="tiny Q8_0", model_size=4 << 20, model_n_params=3000000, n_threads=int(flag["-t"]),
              n_prompt=int(prompt), n_gen=int(gen), n_depth=int(flag.get("-d", 0)), samples_ts=[])
if setup["kernels"]:
    result["kernels"] = setup["kernels"]
if isinstance(answer, dict):
    result.update(answer)
else:
    result["avg_ts"] = answer
print(json.dumps([{{key: value for key, value in result.items() if value != "absent"}}]))
"""
HELP = "  -p, --n-prompt <n>\n  -n, --n-gen <n>\n  -pg <pp,tg>\n  -d, --n-depth <n>\n"
OLD_HELP = "  -p, --n-prompt <n>\n  -n, --n-gen <n>\n  -gp <pp,tg>\n"


class Bench:
    """A folder with made-up programs, and tools/compare on them."""

    def __init__(self, folder):
        self.folder = folder
        self.log = folder / "log"
        self.model = folder / "model.gguf"
        self.model.touch()
        self.json = folder / "out.json"

    def program(self, name, *answers, help=HELP, kernels="", **more):
        path = self.folder / f"{name}.py"
        path.write_text(FAKE.format(python=sys.executable))
        path.chmod(0o755)
        setup = {"log": str(self.log), "answers": answers or [1.0], "help": help, "kernels": kernels, **more}
        path.with_suffix(".json").write_text(json.dumps(setup))
        return path

    def words(self, ours, peers, *flags):
        named = [word for name, path in peers.items() for word in ("--peer", f"{name}={path}")]
        return [
            sys.executable, ROOT / "tools/compare", "-m", self.model, "--ours", ours, *named, "-t", "2",
            "--json", self.json, *flags,
        ]  # fmt: skip

    def run(self, ours, peers, *flags):
        return subprocess.run(list(map(str, self.words(ours, peers, *flags))), capture_output=True, text=True)

    def calls(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def result(self):
        return json.loads(self.json.read_text())


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def row(markdown, test):
    lines = [line for line in markdown.splitlines() if line.startswith("|") and f"| {test} |" in line]
    assert len(lines) == 1, markdown
    return [cell.strip() for cell in lines[0].strip("|").split("|")]


def test_medians_ratios_and_spread(bench):
    ours = bench.program("ours", 100.0, 90.0, 120.0, kernels="avx9")
    peer = bench.program("peer", 50.0, 60.0, 40.0)
    done = bench.run(ours, {"llama.cpp": peer}, "-p", "16", "-n", "0", "--rounds", "3")
    assert done.returncode == 0 and done.stderr == ""
    assert row(done.stdout, "pp16") == [
        "2", "pp16", "100.0 (90.0-120.0)", "50.0 (40.0-60.0)", "2.00 (1.50-3.00)",
    ]  # fmt: skip
    result = bench.result()
    (test,) = result["tests"]
    assert test["programs"]["Stonechat"]["rounds"] == {"1": 100.0, "2": 90.0, "3": 120.0}
    assert test["ratios"]["llama.cpp"]["ratio"] == {"median": 2.0, "min": 1.5, "max": 3.0}
    assert test["ratios"]["llama.cpp"]["rounds"] == {"1": 2.0, "2": 1.5, "3": 3.0}
    assert not result["interrupted"] and not list(bench.folder.glob("*.part"))


def test_the_ratio_is_the_median_of_ratios_not_of_speeds(bench):
    ours, peer = bench.program("ours", 10.0, 20.0, 30.0), bench.program("peer", 10.0, 5.0, 30.0)
    bench.run(ours, {"peer": peer}, "-p", "1", "-n", "0", "--rounds", "3")
    assert bench.result()["tests"][0]["ratios"]["peer"]["ratio"] == {"median": 1.0, "min": 1.0, "max": 4.0}


def test_the_head_names_machine_model_programs_and_date(bench):
    ours, peer = bench.program("ours", kernels="avx9"), bench.program("peer")
    text = bench.run(ours, {"llama.cpp": peer}, "-p", "16", "--rounds", "1").stdout
    result = bench.result()
    assert result["date"][:10] in text and result["machine"]["processor"] in text
    assert result["machine"]["processors"] == len(os.sched_getaffinity(0))
    for words in ("model.gguf: tiny Q8_0, 3.00 M", "Stonechat: version c0ffee (7), kernels avx9, 4.00 MiB", "llama.cpp: version c0ffee (7), kernels CPU", "Rounds: 1, repetitions in each: 1"):
        assert words in text
    assert result["programs"]["Stonechat"]["kernels"] == "avx9"
    assert result["programs"]["llama.cpp"]["command"] == [str(peer)]


def test_programs_take_turns_and_each_round_starts_with_the_next(bench):
    ours, one, two = (bench.program(name) for name in ("ours", "one", "two"))
    bench.run(ours, {"1": one, "2": two}, "-p", "8", "-n", "4", "--rounds", "4")
    order = [call[0] for call in bench.calls()]
    rounds = [["ours", "one", "two"], ["one", "two", "ours"], ["two", "ours", "one"], ["ours", "one", "two"]]
    assert order == [name for names in rounds for name in names * 2]


def test_flags_are_passed_on_one_test_a_run(bench):
    ours, peer = bench.program("ours"), bench.program("peer")
    flags = "-p 8,16 -n 4 -d 0,32 -t 1,2 -r 5 --rounds 1".split()
    assert bench.run(ours, {"peer": f"{peer} -fa 1"}, *flags).returncode == 0
    calls = [call[1:] for call in bench.calls() if call[0] == "peer"]
    assert calls == [
        ["-fa", "1", "-m", str(bench.model), "-t", threads, "-r", "5", *shape, *depth, "-o", "json"]
        for threads in ("1", "2")
        for depth in ([], ["-d", "32"])
        for shape in (["-p", "8", "-n", "0"], ["-p", "16", "-n", "0"], ["-p", "0", "-n", "4"])
    ]
    assert all(call[1] == "bench" for call in bench.calls() if call[0] == "ours")


def test_a_peer_without_depth_uses_gp_or_is_left_out(bench):
    ours, peer = bench.program("ours", 3.0), bench.program("peer", 2.0, help=OLD_HELP)
    bare = bench.program("bare", 2.0, help="  -p <n>\n  -n <n>\n")
    flags = "-p 16 -n 4 -d 64 --rounds 2".split()
    done = bench.run(ours, {"old": peer, "bare": bare}, *flags)
    assert done.returncode == 0 and done.stderr == ""
    assert ["peer", *"-t 2 -r 1 -p 0 -n 0 -gp 64,4 -o json".split()] in [[c[0], *c[3:]] for c in bench.calls()]
    assert row(done.stdout, "pp16 @ d64")[2:] == ["3.0 (3.0-3.0)", "not supported", "not supported", "-", "-"]
    assert row(done.stdout, "tg4 @ d64")[3:] == ["2.0 (2.0-2.0)", "not supported", "1.50 (1.50-1.50)", "-"]
    assert "pp16 @ d64, old: not supported: its help has no -d" in done.stdout
    assert "tg4 @ d64, bare: not supported: its help has neither -d nor -gp" in done.stdout
    assert "not_supported" in bench.result()["tests"][0]["programs"]["old"]


def test_a_failing_peer_is_named_with_code_and_stderr(bench):
    ours = bench.program("ours")
    peer = bench.program("peer", {"exit": 3, "stderr": "line\n" * 50 + "cannot allocate"})
    done = bench.run(ours, {"llama.cpp": peer}, "-p", "16", "-n", "4", "--rounds", "2")
    assert done.returncode == 1
    assert "compare: llama.cpp: pp16: exit code 3" in done.stderr and "stderr: cannot allocate" in done.stderr
    assert f"command: {peer} -m" in done.stderr and done.stderr.count("stderr: line") < 10
    assert row(done.stdout, "pp16")[2:] == ["1.0 (1.0-1.0)", "failed", "-"]
    assert [call[0] for call in bench.calls()] == ["ours", "peer"]


def test_keep_going_measures_the_rest(bench):
    ours, good = bench.program("ours"), bench.program("good", 4.0)
    # Its first test works once, then fails; the second works always.
    bad = bench.program("bad", 2.0, 2.0, {"exit": 9}, 2.0, 2.0)
    done = bench.run(ours, {"bad": bad, "good": good}, "-p", "16", "-n", "4", "--rounds", "3", "--keep-going")
    assert done.returncode == 1 and "compare: bad: pp16: exit code 9" in done.stderr
    assert row(done.stdout, "pp16")[3:] == ["failed", "4.0 (4.0-4.0)", "-", "0.25 (0.25-0.25)"]
    assert row(done.stdout, "tg4")[3:5] == ["2.0 (2.0-2.0)", "4.0 (4.0-4.0)"]
    assert sum(call[0] == "bad" for call in bench.calls()) == 5
    assert len(bench.result()["tests"][1]["ratios"]["bad"]["rounds"]) == 3


@pytest.mark.parametrize(
    "answer, words",
    [
        ("Segmentation fault", ["expected JSON", "Segmentation fault"]),
        ("", ["expected JSON"]),
        ("[]", ["expected a list of one result"]),
        ("[1]", ["expected a list of one result"]),
        ('{"avg_ts": 1}', ["expected a list of one result"]),
        ("[{}, {}]", ["expected a list of one result"]),
        ({"avg_ts": "absent"}, ["lacks the field avg_ts"]),
        ({"avg_ts": 1, "model_size": "absent"}, ["lacks the field model_size"]),
        ({"avg_ts": 1, "n_threads": "absent"}, ["lacks the field n_threads"]),
        ({"avg_ts": "fast"}, ["avg_ts: expected a number, got 'fast'"]),
        ({"avg_ts": True}, ["avg_ts: expected a number, got True"]),
        ({"avg_ts": float("nan")}, ["avg_ts: expected a number, got nan"]),
        ({"avg_ts": 0}, ["avg_ts: expected more than 0, got 0"]),
        ({"avg_ts": 1, "n_prompt": 512}, ["n_prompt: expected 16, got 512"]),
        ({"avg_ts": 1, "n_depth": 1}, ["n_depth: expected 8, got 1"]),
        ({"avg_ts": 1, "n_threads": 64}, ["n_threads: expected 2, got 64"]),
    ],
)
def test_garbage_is_told(bench, answer, words):
    ours, peer = bench.program("ours"), bench.program("peer", answer)
    done = bench.run(ours, {"garbler": peer}, "-p", "16", "-n", "0", "-d", "8", "--rounds", "1")
    assert done.returncode == 1 and "compare: garbler: pp16 @ d8: " in done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_our_own_failure_is_told_too(bench):
    ours, peer = bench.program("ours", {"exit": 1, "stderr": "stonechat: no"}), bench.program("peer")
    done = bench.run(ours, {"peer": peer}, "--rounds", "1")
    assert done.returncode == 1 and "compare: Stonechat: pp512: exit code 1" in done.stderr and done.stdout == ""
    assert not bench.json.exists()


def test_a_program_that_hangs_or_dies(bench):
    ours, peer = bench.program("ours"), bench.program("peer", {"sleep": 60})
    done = bench.run(ours, {"peer": peer}, "--rounds", "1", "--timeout", "1")
    assert done.returncode == 1 and "peer: pp512: no answer after 1 s" in done.stderr
    peer.write_text("#!/bin/sh\ncase $1 in --help) exit 0;; esac\nkill -SEGV $$\n")
    done = bench.run(ours, {"peer": peer}, "--rounds", "1")
    assert done.returncode == 1 and "peer: pp512: killed by signal 11" in done.stderr


@pytest.mark.parametrize("to_all", [False, True])
def test_interrupting_shows_what_is_measured(bench, to_all):
    ours, peer = bench.program("ours", 6.0), bench.program("peer", 2.0, 2.0, 2.0, {"sleep": 60, "avg_ts": 2.0})
    words = list(map(str, bench.words(ours, {"peer": peer}, "-p", "16", "-n", "4", "--rounds", "3")))
    # A shell starts its background jobs with SIGINT ignored, and children inherit that.
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    asleep = pathlib.Path(f"{bench.log}.asleep")
    while not asleep.exists():
        assert process.poll() is None
        time.sleep(0.02)
    # Ctrl-C reaches all processes of a terminal, a signal by number only the one.
    (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
    text, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in errors
    assert row(text, "pp16")[2:] == ["6.0 (6.0-6.0)", "2.0 (2.0-2.0)", "3.00 (3.00-3.00)"]
    assert "Interrupted" in text
    result = bench.result()
    assert result["interrupted"]
    assert [len(test["ratios"]["peer"]["rounds"]) for test in result["tests"]] == [2, 1]


def test_a_program_that_was_interrupted_has_not_failed(bench):
    ours, peer = bench.program("ours"), bench.program("peer", 2.0, {"exit": 130})
    done = bench.run(ours, {"peer": peer}, "-p", "16", "-n", "0", "--rounds", "3")
    assert done.returncode == 130 and "Interrupted" in done.stdout and "failed" not in done.stdout + done.stderr
    assert len(bench.result()["tests"][0]["ratios"]["peer"]["rounds"]) == 1


@pytest.mark.parametrize(
    "flags, word",
    [
        (["--peer", "nameless"], "NAME=PATH"),
        (["--peer", "=/bin/true"], "NAME=PATH"),
        (["--peer", "a|b=/bin/true"], "NAME=PATH"),
        (["--peer", "peer=/bin/true"], "different names"),
        (["--peer", "Stonechat=/bin/true"], "different names"),
        (["--peer", "x=/bin/true 'open"], "No closing quotation"),
        (["-p", "x"], "-p"),
        (["-p", "16,,32"], "-p"),
        (["-n", "-4"], "-n"),
        (["-t", "0"], "-t"),
        (["--rounds", "0"], "--rounds"),
        (["-p", "0", "-n", "0"], "nothing to measure"),
        (["--sideways"], "--sideways"),
    ],
)
def test_wrong_use(bench, flags, word):
    done = bench.run(bench.program("ours"), {"peer": bench.program("peer")}, *flags)
    assert done.returncode == 2 and word in done.stderr and not bench.calls()


def test_what_is_not_there(bench):
    ours, peer = bench.program("ours"), bench.program("peer")
    cases = [
        (ours, {"peer": "/no/such/llama-bench"}, [], "peer: No such file"),
        ("/no/such/stonechat", {"peer": peer}, [], "Stonechat: No such file"),
        (ours, {"peer": bench.model}, [], "peer: Permission denied"),
        (ours, {"peer": peer}, ["-m", "/no/such/model"], "/no/such/model: no such file"),
        (ours, {"peer": peer}, ["--json", "/no/such/folder/x"], "/no/such/folder: no such directory"),
        (ours, {"peer": bench.program("sick", help_exit=5)}, [], "peer: exit code 5"),
    ]
    for ours_path, peers, flags, message in cases:
        done = bench.run(ours_path, peers, *flags)
        assert done.returncode == 1 and message in done.stderr, message
        assert done.stdout == "" and not bench.calls()


def test_a_file_that_cannot_be_written_loses_no_figures(bench):
    folder = bench.folder / "out"
    folder.mkdir()
    done = bench.run(bench.program("ours"), {"peer": bench.program("peer")}, "--json", folder)
    assert done.returncode == 1 and f"{folder}: cannot write" in done.stderr and "| pp" in done.stdout
    assert not list(bench.folder.glob("*.part"))


def test_with_the_real_program_on_both_sides(bench, binary, tiny_model):
    bench.model = tiny_model
    done = bench.run(binary, {"itself": f"{binary} bench"}, *"-p 16 -n 2 -d 0,8 -t 1 --rounds 2".split())
    assert done.returncode == 0, done.stderr
    tests = bench.result()["tests"]
    assert [test["test"] for test in tests] == ["pp16", "tg2", "pp16 @ d8", "tg2 @ d8"]
    assert all(test["ratios"]["itself"]["ratio"]["min"] > 0 for test in tests)
    kernels = subprocess.run([binary, "--version"], capture_output=True, text=True).stdout
    assert bench.result()["programs"]["itself"]["kernels"] in kernels


def plot(*words):
    return subprocess.run([sys.executable, ROOT / "tools/plot_compare", *words], capture_output=True, text=True)


def test_the_plot_shows_each_program_of_each_test(bench):
    ours, peer = bench.program("ours", 100.0, 90.0, kernels="avx9"), bench.program("peer", 50.0)
    bench.run(ours, {"a<b": peer}, "-p", "16,32", "-n", "8", "--rounds", "2")
    done = plot(bench.json)
    assert done.returncode == 0 and done.stderr == ""
    svg = xml.etree.ElementTree.fromstring(done.stdout)
    name = "{http://www.w3.org/2000/svg}"
    texts = [text.text for text in svg.iter(f"{name}text")]
    assert {"pp16", "pp32", "tg8", "Stonechat", "a<b"} <= set(texts)
    bars = [bar for bar in svg.iter(f"{name}rect") if bar.find(f"{name}title") is not None]
    assert len(bars) == 6  # 3 tests, 2 programs
    heights = {bar.find(f"{name}title").text: float(bar.get("height")) for bar in bars}
    assert heights["50.0 (50.0-50.0)"] == pytest.approx(heights["95.0 (90.0-100.0)"] * 50 / 95, abs=0.2)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"programs": {}, "tests": []}'])
def test_the_plot_refuses_what_is_no_result(tmp_path, content):
    path = tmp_path / "result.json"
    path.write_text(content)
    done = plot(path)
    assert done.returncode == 1 and str(path) in done.stderr and "Traceback" not in done.stderr
    assert plot(tmp_path / "none").returncode == 1
