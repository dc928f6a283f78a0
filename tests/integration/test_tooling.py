"""make, tools/ and the checks of the repository itself."""
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent


def run(*words, **keywords):
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, cwd=ROOT, **keywords)


def test_make_help_names_the_targets():
    text = run("make").stdout
    for target in ("build", "install", "test", "demo", "arm-cycles", "lint", "format", "clean"):
        assert f"make {target}" in text


def test_setup_lists_its_packages():
    packages = run("tools/setup", "--list").stdout.split()
    assert {"cmake", "qemu-user", "llvm-19"} <= set(packages) and len(packages) == len(set(packages))
    assert run("tools/setup", "nonsense").returncode == 2


def test_includes_follow_the_design():
    result = run(sys.executable, "tests/check_includes.py")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    "folder, include",
    [("gguf", '"model/config.h"'), ("base", '"gguf/reader.h"'), ("kernels", '"quant/decode.h"'), ("hub", '"gguf/types.h"')],
)
def test_a_wrong_include_is_found(tmp_path, folder, include):
    copy = tmp_path / "src"
    shutil.copytree(ROOT / "src", copy)
    (copy / folder / "planted.cc").write_text(f"#include {include}\n")
    result = run(sys.executable, "tests/check_includes.py", copy)
    assert result.returncode == 1 and "planted.cc:1" in result.stdout


def test_a_standard_header_in_an_isa_source_is_found(tmp_path):
    copy = tmp_path / "src"
    shutil.copytree(ROOT / "src", copy)
    (copy / "kernels/avx9.cc").write_text("#include <vector>\n")
    result = run(sys.executable, "tests/check_includes.py", copy)
    assert result.returncode == 1 and "avx9.cc:1: <vector>" in result.stdout
    (copy / "kernels/avx9.cc").rename(copy / "kernels/amx_9.cc")
    assert "amx_9.cc:1: <vector>" in run(sys.executable, "tests/check_includes.py", copy).stdout


@pytest.mark.parametrize("code, failures", [(0, 0), (66, 1)])
def test_an_exit_code_that_no_test_explains_is_a_failure(tmp_path, code, failures):
    """ThreadSanitizer and LeakSanitizer tell what they found when the program ends, after the report is written."""
    program = tmp_path / "bin/made_up_test"
    program.parent.mkdir()
    report = '<testsuites><testsuite><testcase name="passes"/></testsuite></testsuites>'
    program.write_text(f'#!/bin/bash\nfor word; do [[ $word == --gtest_output=xml:* ]] && echo \'{report}\' >"${{word#*xml:}}"; done\nexit {code}\n')
    program.chmod(0o755)
    out = tmp_path / "out"
    result = run(sys.executable, "tests/run_units.py", tmp_path, out)
    assert result.returncode == (1 if failures else 0)
    shares = [path for path in out.glob("*.xml") if "passes" in path.read_text()]
    assert len(shares) == 6 and sum("<failure" in path.read_text() for path in out.glob("*.xml")) == 6 * failures


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_name_every_command(stonechat, shell):
    text = (ROOT / "completions" / f"stonechat.{shell}").read_text()
    help_text = stonechat("--help").stdout
    commands = [line.split()[0] for line in help_text.split("Subcommands:")[1].splitlines() if line.startswith("  ")]
    assert len(commands) >= 9
    for command in commands:
        assert command in text, command


def long_flags(stonechat, command):
    """Lists of the names that each flag of the command has, from its help."""
    words = [[command, measure] for measure in ("ppl", "kl", "arc_c", "ceval", "task")] if command == "eval" else [[command]]
    lines = [line for word in words for line in stonechat(*word, "--help").stdout.splitlines()]
    flags = [re.findall(r"--[a-z][a-z0-9-]*", line.split()[0]) for line in lines if re.match(r"  -", line)]
    flags = [names for names in flags if names and "--help" not in names]
    assert flags, command
    return flags


@pytest.mark.parametrize("name", ["pull", "run", "chat", "inspect", "convert", "calibrate", "stats", "sensitivity", "quantize", "bench", "eval", "report", "tokenize"])
def test_completions_name_every_flag(stonechat, name):
    offered = {}
    script = f'source {ROOT}/completions/stonechat.bash; COMP_WORDS=(stonechat {name} --); COMP_CWORD=2; _stonechat; echo "${{COMPREPLY[@]}}"'
    offered["bash"] = run("bash", "-c", script).stdout.split()
    zsh = (ROOT / "completions/stonechat.zsh").read_text()
    own = re.search(rf"^  {name}\) (.*?) ;;$", zsh, re.MULTILINE | re.DOTALL).group(1)
    shared = re.search(r"sampling=\((.*?)^\)", zsh, re.MULTILINE | re.DOTALL).group(1) if "$sampling" in own else ""
    offered["zsh"] = re.findall(r"--[a-z][a-z0-9-]*", own + shared)
    lines = re.findall(r'"__fish_seen_subcommand_from ([^"$]*)".* -l (\S+)', (ROOT / "completions/stonechat.fish").read_text())
    offered["fish"] = [f"--{flag}" for commands, flag in lines if name in commands.split()]
    for shell, words in offered.items():
        missing = [names for names in long_flags(stonechat, name) if not set(names) & set(words)]
        assert not missing, f"{shell}: {missing}"


def test_setup_lists_what_it_may_not_install(tmp_path):
    """Where nothing is installed and nobody may install."""
    for name, text in {"dpkg-query": "exit 1", "id": "echo 1000", "sudo": "exit 1", "apt-get": "touch $0.ran"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    result = run("tools/setup", "build", env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, stdin=subprocess.DEVNULL)
    assert result.returncode == 1 and "needs root" in result.stderr
    assert "apt-get install build-essential" in result.stderr and "libcli11-dev" in result.stderr
    assert not (tmp_path / "apt-get.ran").exists()


def test_bash_completion_works(tmp_path):
    script = f'source {ROOT}/completions/stonechat.bash; COMP_WORDS=(stonechat qu); COMP_CWORD=1; _stonechat; echo "${{COMPREPLY[@]}}"'
    assert run("bash", "-c", script).stdout.split() == ["quantize"]
