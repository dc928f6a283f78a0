"""make, tools/ and the checks of the repository itself."""
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent


def run(*words, **keywords):
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, cwd=ROOT, **keywords)


def test_make_help_names_the_targets():
    text = run("make").stdout
    for target in ("build", "test", "demo", "lint", "format", "clean"):
        assert f"make {target}" in text


def test_setup_lists_its_packages():
    packages = run("tools/setup", "--list").stdout.split()
    assert "cmake" in packages and "qemu-user" in packages and len(packages) == len(set(packages))
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


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_name_every_command(stonechat, shell):
    text = (ROOT / "completions" / f"stonechat.{shell}").read_text()
    help_text = stonechat("--help").stdout
    commands = [line.split()[0] for line in help_text.split("Subcommands:")[1].splitlines() if line.startswith("  ")]
    assert len(commands) >= 9
    for command in commands:
        assert command in text, command


def test_bash_completion_works(tmp_path):
    script = f'source {ROOT}/completions/stonechat.bash; COMP_WORDS=(stonechat qu); COMP_CWORD=1; _stonechat; echo "${{COMPREPLY[@]}}"'
    assert run("bash", "-c", script).stdout.split() == ["quantize"]
