"""The program as a whole: help, version, wrong use, exit codes."""
import contextlib
import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import termios

import pytest

COMMANDS = ["inspect", "convert", "quantize", "pull", "tokenize", "run", "chat", "bench", "tune", "eval"]


@pytest.mark.aarch64
def test_help_names_every_command(stonechat):
    text = stonechat("--help").stdout
    for command in COMMANDS:
        assert f"  {command}" in text
        assert "Usage: " in stonechat(command, "--help").stdout


@pytest.mark.aarch64
def test_version_tells_the_kernels(stonechat):
    lines = stonechat("--version").stdout.splitlines()
    assert lines[0].startswith("stonechat 0.")
    assert lines[-1].startswith("kernels ") and "scalar" in lines[-1]


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["run"], ["run", "x", "--no-such-flag"], ["eval"]])
def test_wrong_use_is_exit_code_2(stonechat, arguments):
    result = stonechat(*arguments, check=False)
    assert result.returncode == 2
    assert result.stdout == "" and result.stderr.strip()


def test_unknown_command_is_named(stonechat):
    result = stonechat("qantize", "in", "out", check=False)
    assert result.returncode == 2 and "no command 'qantize'" in result.stderr


def test_progress_is_for_terminals_only(stonechat, command, tiny_model, tmp_path):
    words = ["quantize", tiny_model, tmp_path / "out.gguf", "--type", "q8_0"]
    result = stonechat(*words)
    for text in (result.stdout, result.stderr):
        assert "\r" not in text and "\x1b" not in text and " left" not in text
    # On a terminal there is progress, cut to its width, and no colour whether NO_COLOR is set or not.
    for environment in ({}, {"NO_COLOR": "1"}):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        process = subprocess.Popen(
            [*command, *map(str, words)], stdin=slave, stdout=subprocess.DEVNULL, stderr=slave,
            env={**os.environ, "TERM": "xterm", **environment},
        )  # fmt: skip
        os.close(slave)
        seen = b""
        with contextlib.suppress(OSError):  # how a terminal's end shows
            while data := os.read(master, 65536):
                seen += data
        assert process.wait(timeout=60) == 0
        os.close(master)
        lines = seen.split(b"\r\x1b[K")[1:]
        assert re.match(rb"\[=* *\] .* MiB, .* left  q", lines[0]) and max(map(len, lines[:-1])) == 59 and re.search(rb"\x1b\[[0-9;]*m", seen) is None


def test_forced_kernels(stonechat, tiny_model):
    assert "kernels   scalar " in stonechat("--version", env={"STONECHAT_ISA": "scalar"}).stdout
    result = stonechat("run", tiny_model, "x", env={"STONECHAT_ISA": "mmx"}, check=False)
    assert result.returncode == 2
    assert "unknown kernels 'mmx', expected one of scalar" in result.stderr


def test_missing_model_names_the_catalog(stonechat):
    result = stonechat("run", "no-such-model.gguf", "x", check=False)
    assert result.returncode == 2
    assert "no-such-model.gguf" in result.stderr and "smollm2-135m" in result.stderr


def test_file_that_is_no_model(stonechat, tmp_path):
    path = tmp_path / "text.gguf"
    path.write_text("this is a text, not a model")
    result = stonechat("run", path, "x", check=False)
    assert result.returncode == 1
    assert str(path) in result.stderr and "magic: expected GGUF" in result.stderr


def test_directory_instead_of_a_file(stonechat, tmp_path):
    result = stonechat("inspect", tmp_path, check=False)
    assert result.returncode == 1 and "not a regular file" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["pull", "--list"],
        ["tokenize", "MODEL", "the"],
        ["run", "MODEL", "the", "-n", "2"],
        ["bench", "-m", "MODEL", "-p", "4", "-n", "0", "-r", "1"],
        ["eval", "ppl", "MODEL", "--text", "TEXT", "-c", "16", "--json"],
        ["quantize", "MODEL", "OUT", "--type", "q8_0"],
    ],
    ids=lambda words: words[0],
)
def test_output_that_cannot_be_written(command, tiny_model, tmp_path, words):
    (tmp_path / "text").write_text("the model " * 40)
    paths = {"MODEL": tiny_model, "TEXT": tmp_path / "text", "OUT": tmp_path / "out.gguf"}
    with open("/dev/full", "w") as full:
        words = [*command, *(str(paths.get(word, word)) for word in words)]
        result = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    assert result.returncode == 1 and "standard output: cannot write" in result.stderr


def test_flags_of_lists_leave_the_arguments_that_follow(stonechat, tiny_model, tmp_path):
    """They may come again, or hold several texts between commas, but take one word each."""
    assert stonechat("run", "--stop", "END", "--stop", "STOP", tiny_model, "the", "-n", "2").stdout
    (tmp_path / "text").write_text("the model " * 40)
    words = ["--scheme", "q8_t", "--text", tmp_path / "text", "-c", "16", "--chunks", "1"]
    assert "layer" in stonechat("sensitivity", "--by", "kind,layer", tiny_model, *words).stdout
    result = stonechat("eval", "ceval", "--subject", "law", tiny_model, "--data", tmp_path, check=False)
    assert "--data" in result.stderr  # which is looked at once the model is known


def test_paths_may_have_any_bytes(command, tiny_model, tmp_path):
    """JSON can't hold bytes that aren't UTF-8: they are replaced, and nothing is lost."""
    path = os.fsencode(tmp_path) + b"/a\xff.gguf"
    shutil.copy(tiny_model, path)
    (tmp_path / "text").write_text("the model " * 40)
    for words in (
        ["bench", "-m", path, "-p", "4", "-n", "0", "-r", "1", "-o", "json"],
        ["eval", "ppl", path, "--text", tmp_path / "text", "-c", "16", "--json"],
        ["run", path, "the", "-n", "2", "--json"],
        ["inspect", path, "--json"],
    ):
        result = subprocess.run([*command, *words], capture_output=True, stdin=subprocess.DEVNULL)
        assert result.returncode == 0, result.stderr
        assert "a\ufffd.gguf" in json.dumps(json.loads(result.stdout), ensure_ascii=False), words[0]
