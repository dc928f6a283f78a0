"""tools/armcycles: estimates of programs whose instructions and cycles are known, and its errors."""
import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
FOLDER = ROOT / "tools/armcycles"
ASSEMBLER = "aarch64-linux-gnu-gcc"
sys.path.insert(0, str(FOLDER))

import armcycles  # noqa: E402


def missing_tool():
    try:
        armcycles.find_tools()
    except armcycles.ArmCyclesError as error:
        return str(error)
    return None if shutil.which(ASSEMBLER) else f"{ASSEMBLER} is missing"


needs_tools = pytest.mark.skipif(missing_tool() is not None, reason=str(missing_tool()))

# A loop of 1,000,000 turns in two sections: three independent chains of additions, then one.
PROGRAM = """
{before}
.globl _start
_start:
    ldr x0, =1000000
    hint #100
1:  add x1, x1, #1
    add x2, x2, #1
    add x3, x3, #1
    subs x0, x0, #1
    b.ne 1b
    hint #100
    ldr x0, =1000000
2:  mul x1, x1, x2
    mul x1, x1, x2
    subs x0, x0, #1
    b.ne 2b
    mov x0, #{status}
    mov x8, #93
    svc #0
"""


def assemble(folder, name="loop", status=0, before=""):
    source, program = folder / f"{name}.s", folder / name
    source.write_text(PROGRAM.format(status=status, before=before))
    subprocess.run([ASSEMBLER, "-nostdlib", "-static", "-o", program, source], check=True)
    return program


def run(*words, script="armcycles.py", **keywords):
    return subprocess.run(
        [sys.executable, FOLDER / script, *map(str, words)], capture_output=True, text=True, timeout=120, **keywords
    )


def totals(text):
    match = re.match(r"instructions (\S+)  cycles (\S+) \((\S+)\)  instructions per cycle (\S+)", text)
    return float(match[1]), float(match[2]), match[3]


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    return assemble(tmp_path_factory.mktemp("armcycles"))


@needs_tools
def test_a_loop_costs_what_it_must(loop):
    result = run("--coverage", "1", "--", loop)
    assert result.returncode == 0, result.stderr
    instructions, cycles, cpu = totals(result.stdout)
    assert cpu == "neoverse-n2"
    assert instructions == pytest.approx(9e6, rel=1e-3)
    # Five instructions fit one or two cycles on a core of four integer units and one branch a cycle at least; two
    # dependent multiplications take two to three cycles each.
    assert 5e6 <= cycles <= 8e6
    assert "_start" in result.stdout


def test_blocks_that_qemu_cut_are_joined():
    add, branch = "20000191", "c1ffff54"  # add x0, x1, #64; b.ne
    # A loop of three instructions that a page's end cuts, and its first turn, which begins one instruction earlier.
    counts = {(0x0FF4, add * 3): 1, (0x0FF8, add * 2): 9, (0x1000, add + branch): 10, (0x1008, add): 1}
    assert armcycles.join_cut_blocks(counts) == {
        (0x0FF4, add * 4 + branch): 1,
        (0x0FF8, add * 3 + branch): 9,
        (0x1008, add): 1,  # nothing ran after it
    }


@needs_tools
def test_a_loop_across_two_pages_costs_the_same(tmp_path):
    whole = assemble(tmp_path)
    moved = assemble(tmp_path, "moved", before=".balign 4096\n.skip 4096 - 16")
    assert totals(run("--", moved).stdout)[:2] == totals(run("--", whole).stdout)[:2]


@needs_tools
def test_sections_are_counted_apart(loop):
    tools = armcycles.find_tools()
    sections, _ = armcycles.profile(tools, [str(loop)])
    sizes = [sum(n * len(code) // 8 for (_, code), n in counts.items()) for counts in sections]
    assert len(sections) == 3
    # A block is counted when it begins, so what follows a mark in its block belongs to the section before.
    assert sizes[0] <= 8 and abs(sizes[1] - 5_000_000) <= 8 and abs(sizes[2] - 4_000_000) <= 8
    pricer = armcycles.Pricer(tools)
    first, second = (armcycles.estimate(counts, pricer) for counts in sections[1:])
    assert first.cycles < 2.1e6 and second.cycles >= 3.9e6
    assert second.unpriced < 0.01


@needs_tools
def test_minus_takes_an_earlier_run_away(loop, tmp_path):
    base = tmp_path / "base.json"
    first = run("--json", base, "--", loop)
    assert first.returncode == 0, first.stderr
    written = json.loads(base.read_text())
    assert written["cpu"] == "neoverse-n2" and written["functions"]["_start"] > 4e6
    again = run("--minus", base, "--", loop)
    assert again.returncode == 0 and totals(again.stdout)[:2] == (0, 0)


@needs_tools
def test_show_prints_the_costliest_code(loop):
    text = run("--show", "1", "--", loop).stdout
    assert "_start: ran 999999 times" in text or "_start: ran 1000000 times" in text
    assert text.count("mul\tx1, x1, x2") == 2 and "add\tx2" not in text


@needs_tools
def test_another_core_costs_otherwise(loop):
    small = run("--cpu", "cortex-a53", "--", loop)
    assert small.returncode == 0, small.stderr
    assert totals(small.stdout)[1] > totals(run("--", loop).stdout)[1]


@needs_tools
def test_a_failing_program_is_told(tmp_path):
    result = run("--", assemble(tmp_path, "fails", status=3))
    assert result.returncode == 1 and "fails ended with status 3" in result.stderr


@needs_tools
@pytest.mark.parametrize(
    "words, told",
    [
        (["--", "/nonexistent"], "/nonexistent: No such file"),
        (["--", "/bin/sh"], "/bin/sh: expected an AArch64 program (machine 183), found machine"),
        (["--", str(pathlib.Path(__file__))], "found no ELF file"),
        (["--cpu", "z80", "--", "LOOP"], "no model of the core 'z80'"),
        (["--minus", "/nonexistent.json", "--", "LOOP"], "--minus /nonexistent.json: No such file"),
        (["--minus", __file__, "--", "LOOP"], "expected what --json writes"),
        (["--json", "/nonexistent/x.json", "--", "LOOP"], "/nonexistent/x.json: No such file"),
    ],
)
def test_errors_name_what_is_wrong(loop, words, told):
    result = run(*[str(loop) if word == "LOOP" else word for word in words])
    assert result.returncode == 1 and told in result.stderr and "Traceback" not in result.stderr


@needs_tools
def test_minus_of_another_core_is_refused(loop, tmp_path):
    base = tmp_path / "base.json"
    assert run("--cpu", "cortex-a53", "--json", base, "--", loop).returncode == 0
    result = run("--minus", base, "--", loop)
    assert result.returncode == 1 and "is of the core cortex-a53, this run is of neoverse-n2" in result.stderr


@pytest.mark.parametrize("words, told", [([], "no program given"), (["--coverage", "2", "--", "x"], "--coverage")])
def test_wrong_use(words, told):
    result = run(*words)
    assert result.returncode == 2 and told in result.stderr


@pytest.mark.parametrize(
    "present, told",
    [
        ([], "qemu-aarch64 is missing"),
        (["qemu-aarch64"], "llvm-mca and llvm-mc of LLVM 16 or newer are missing"),
        (["qemu-aarch64", "llvm-mca", "llvm-mc"], "llvm-mca is of LLVM 14.0.6"),
        (["qemu-aarch64", "llvm-mca-19", "llvm-mc-19"], "aarch64-linux-gnu-nm is missing"),
        (["qemu-aarch64", "llvm-mca-19", "llvm-mc-19", "nm"], "cc is missing"),
    ],
)
def test_a_missing_tool_is_named_with_what_installs_it(tmp_path, present, told):
    for name in present:
        version = "19.1.7" if name.endswith("-19") else "14.0.6"
        (tmp_path / name).write_text(f"#!/bin/sh\necho 'Debian LLVM version {version}'\n")
        (tmp_path / name).chmod(0o755)
    result = run("--", "/bin/true", env={"PATH": str(tmp_path)})
    assert result.returncode == 1 and told in result.stderr and "tools/setup arm-cycles" in result.stderr


@needs_tools
def test_report_needs_program_and_model_together(loop):
    result = run("--driver", loop, "--model", "x.gguf", script="kernel_report.py")
    assert result.returncode == 2 and "--program and --model go together" in result.stderr


@needs_tools
def test_report_of_a_driver_without_sections(loop):
    result = run("--driver", loop, "--table", "neon", script="kernel_report.py")
    assert result.returncode == 1 and "0 sections named, 1 counted" in result.stderr


# A driver of one section: a million turns of one FMLA on a sum of its own in each, 4 multiply-adds.
DRIVER = """
.globl _start
_start:
    mov x0, #1
    adr x1, line
    mov x2, #(end - line)
    mov x8, #64
    svc #0
    ldr x0, =1000000
    hint #100
1:  fmul v0.4s, v1.4s, v2.4s
    fmla v0.4s, v1.4s, v2.4s
    subs x0, x0, #1
    b.ne 1b
    hint #100
    mov x0, #0
    mov x8, #93
    svc #0
line: .ascii "F32|8 to 4|1|multiply-adds|4000000\\nnorm|8|1|values|8\\n"
end:
"""


@needs_tools
def test_report_prints_rates_and_shares(tmp_path):
    source = tmp_path / "driver.s"
    one_line = DRIVER.replace("norm|8|1|values|8\\n", "")
    source.write_text(one_line)
    driver = tmp_path / "driver"
    subprocess.run([ASSEMBLER, "-nostdlib", "-static", "-o", driver, source], check=True)
    result = run("--driver", driver, "--table", "neon", script="kernel_report.py")
    assert result.returncode == 0, result.stderr
    row = re.search(r"\| neon \| F32 \| 1 \| ([\d.]+) \((\d+) %\) \| FMLA, ([\d.]+) \|", result.stdout)
    assert row, result.stdout
    rate, share, limit = float(row[1]), int(row[2]), float(row[3])
    # Two vector units: two FMLA a cycle at most, and here a multiplication beside each.
    assert limit == pytest.approx(8, rel=0.01)
    assert 3 <= rate <= 4.1 and share == pytest.approx(100 * rate / limit, abs=1)


@needs_tools
def test_report_of_a_driver_that_names_more_than_it_marks(tmp_path):
    source, driver = tmp_path / "driver.s", tmp_path / "driver"
    source.write_text(DRIVER)
    subprocess.run([ASSEMBLER, "-nostdlib", "-static", "-o", driver, source], check=True)
    result = run("--driver", driver, "--table", "neon", script="kernel_report.py")
    assert result.returncode == 1 and "2 sections named, 1 counted" in result.stderr


def test_arm_cycles_script_refuses_unknown_words():
    result = subprocess.run([ROOT / "tools/arm_cycles", "--kernel"], capture_output=True, text=True)
    assert result.returncode == 2 and "expected --kernels or nothing, got '--kernel'" in result.stderr
