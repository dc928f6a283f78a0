#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Estimate the cycles that a program takes on an Arm core, without the core.

    armcycles.py [OPTION...] -- PROGRAM [ARGUMENT...]

QEMU counts how often each block of instructions runs (tbprof.c); llvm-mca prices each hot block on a model of
the core, as a loop in steady state whose loads all hit the first-level cache. The estimate is the sum of count
times price. It is blind to cache misses, branch misses and memory bandwidth: README.md says what it is good for.
"""
import argparse
import bisect
import collections
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent
FIRST_LLVM = 16  # the first with a model of Neoverse N2
LAST_LLVM = 30  # how far names such as llvm-mca-19 are tried
ITERATIONS = 64  # of a block that is priced
FALLBACK_PER_CYCLE = 2.0  # instructions, in blocks that aren't priced
INSTRUCTION_DIGITS = 8  # of its code in hexadecimal
INSTALL = "run `tools/setup arm-cycles`"


class ArmCyclesError(Exception):
    """What the user has to know: a tool that is missing, a program that failed."""


@dataclasses.dataclass
class Tools:
    """Programs that the estimate needs, by path."""

    qemu: str
    mca: str
    mc: str
    nm: str
    cc: str
    llvm_version: str


@dataclasses.dataclass
class Estimate:
    """What a section of a run costs."""

    instructions: float
    cycles: float
    unpriced: float  # share of the instructions that are counted as FALLBACK_PER_CYCLE
    functions: dict  # name: cycles
    blocks: list  # (cycles in all, count, cycles each, function, code), costliest first


def _which(names, purpose):
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    raise ArmCyclesError(f"{names[0]} is missing, which {purpose}: {INSTALL}")


def _version_of(mca):
    text = subprocess.run([mca, "--version"], capture_output=True, text=True).stdout
    match = re.search(r"LLVM version (\d+)[\d.]*", text)
    return match[0].removeprefix("LLVM version ") if match else "0"


def _find_llvm():
    """(llvm-mca, llvm-mc, version): the newest numbered pair, else the unnumbered one."""
    found = []
    for suffix in [*(f"-{n}" for n in range(LAST_LLVM, FIRST_LLVM - 1, -1)), ""]:
        mca, mc = shutil.which("llvm-mca" + suffix), shutil.which("llvm-mc" + suffix)
        if mca and mc:
            version = _version_of(mca)
            if int(version.split(".")[0]) >= FIRST_LLVM:
                return mca, mc, version
            found.append(f"{mca} is of LLVM {version}")
    have = f" ({'; '.join(found)})" if found else ""
    raise ArmCyclesError(
        f"llvm-mca and llvm-mc of LLVM {FIRST_LLVM} or newer are missing, which price the instructions{have}: {INSTALL}"
    )


def find_tools():
    """All tools. ArmCyclesError names the first that is missing, and what installs it."""
    qemu = _which(["qemu-aarch64"], "runs the program")
    mca, mc, version = _find_llvm()
    nm = _which(["aarch64-linux-gnu-nm", "llvm-nm", "nm"], "names the functions")
    cc = _which(["cc", "gcc", "clang"], "compiles the plugin that counts")
    return Tools(qemu, mca, mc, nm, cc, version)


def build_plugin(tools, folder):
    """Compiles tbprof.c into `folder`; returns the plugin's path."""
    plugin = pathlib.Path(folder) / "tbprof.so"
    words = [tools.cc, "-O2", "-shared", "-fPIC", "-o", str(plugin), str(FOLDER / "tbprof.c")]
    result = subprocess.run(words, capture_output=True, text=True)
    if result.returncode:
        raise ArmCyclesError(f"{tools.cc} can't compile tbprof.c:\n{result.stderr}")
    return plugin


def check_program(path):
    """Whether addresses of the program's symbols are those that it runs at. ArmCyclesError unless AArch64."""
    try:
        with open(path, "rb") as file:
            header = file.read(20)
    except OSError as error:
        raise ArmCyclesError(f"{path}: {error.strerror}") from None
    if header[:4] != b"\x7fELF":
        raise ArmCyclesError(f"{path}: expected an AArch64 program, found no ELF file")
    kind, machine = struct.unpack_from("<HH", header, 16)
    if machine != 183:
        raise ArmCyclesError(f"{path}: expected an AArch64 program (machine 183), found machine {machine}")
    return kind == 2


def parse_profile(path):
    """The sections of a profile: each {(address, code): count}, blocks translated more than once added."""
    sections = [collections.Counter()]
    with open(path) as file:
        for line in file:
            words = line.split()
            if words == ["section"]:
                sections.append(collections.Counter())
            else:
                sections[-1][int(words[0], 16), words[2]] += int(words[1])
    return sections


def _is_cut(code):
    """Whether a block ends without a branch or the like (encodings of group 101x): QEMU ended it, not the program."""
    word = int.from_bytes(bytes.fromhex(code[-INSTRUCTION_DIGITS:]), "little")
    return word >> 26 & 0b111 != 0b101


def join_cut_blocks(counts):
    """Counts of a section, with blocks that QEMU cut (at the end of a page, or as they were long) joined to what follows.

    Else the price of a loop would depend on where in a page it lies.
    """
    joined, at_address = collections.Counter(), collections.defaultdict(list)
    for address, code in sorted(counts, reverse=True):  # what follows comes first, and is whole by then
        left = counts[address, code]
        followers = at_address[address + len(code) // 2] if _is_cut(code) else []
        for follower in sorted(followers, key=lambda key: (-joined[key], key)):
            both = min(left, joined[follower])
            if both == 0:
                break
            whole = (address, code + follower[1])
            joined[follower] -= both
            joined[whole] += both
            at_address[address].append(whole)
            left -= both
        if left:
            joined[address, code] += left
            at_address[address].append((address, code))
    return +joined


def profile(tools, command, qemu_cpu="max", environment=None, capture=False):
    """Runs the command; returns its sections, without cuts of QEMU's, and, if `capture`, what it wrote to stdout."""
    with tempfile.TemporaryDirectory() as folder:
        counts = pathlib.Path(folder) / "profile.txt"
        words = [tools.qemu, "-cpu", qemu_cpu, "-plugin", f"{build_plugin(tools, folder)},out={counts}", *command]
        run = subprocess.run(
            words, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE if capture else None, text=True
        )
        if run.returncode:
            raise ArmCyclesError(f"{command[0]} ended with status {run.returncode}")
        if not counts.exists():
            raise ArmCyclesError(f"{tools.qemu} wrote no counts: it is built without plugins, or newer than 8.2")
        return [join_cut_blocks(section) for section in parse_profile(counts)], run.stdout


def symbols(tools, program):
    """Addresses of the program's functions, ascending, and their names."""
    text = subprocess.run([tools.nm, "-nC", program], capture_output=True, text=True).stdout
    rows = [line.split(" ", 2) for line in text.splitlines()]
    rows = [(int(row[0], 16), row[2]) for row in rows if len(row) == 3 and row[0] and row[1] in "tTwW"]
    return [row[0] for row in rows], [row[1] for row in rows]


class Pricer:
    """Cycles of blocks on one core, each block asked for once."""

    def __init__(self, tools, cpu="neoverse-n2"):
        self.tools = tools
        self.cpu = cpu
        self._known = {}
        help_text = subprocess.run([tools.mca, "--help"], capture_output=True, text=True).stdout
        self._flags = ["-skip-unsupported-instructions=any"] if "=parse-failure" in help_text else []
        self._check_cpu()

    def _check_cpu(self):
        result = self._run_mca("nop\n")
        if "not a recognized processor" in result.stderr or "Total Cycles" not in result.stdout:
            raise ArmCyclesError(f"{self.tools.mca}: no model of the core '{self.cpu}'\n{result.stderr.strip()}")

    def _run_mca(self, assembly):
        words = [self.tools.mca, "-march=aarch64", "-mattr=+all", f"-mcpu={self.cpu}", f"-iterations={ITERATIONS}"]
        words += [*self._flags, "-instruction-info=0", "-resource-pressure=0"]
        return subprocess.run(words, input=assembly, capture_output=True, text=True)

    def price_assembly(self, assembly):
        """Cycles of one pass through the instructions as a loop, or None where llvm-mca can't say."""
        match = re.search(r"Total Cycles:\s+(\d+)", self._run_mca(assembly).stdout)
        return int(match[1]) / ITERATIONS if match else None

    def disassemble(self, code):
        """Assembly of code in hexadecimal."""
        data = "".join(f"0x{code[i:i + 2]} " for i in range(0, len(code), 2))
        words = [self.tools.mc, "--disassemble", "-triple=aarch64", "-mattr=+all"]
        text = subprocess.run(words, input=data, capture_output=True, text=True).stdout
        return "\n".join(line for line in text.splitlines() if not line.strip().startswith("."))

    def price_all(self, codes):
        """{code: cycles or None} of blocks, several at a time."""
        new = [code for code in dict.fromkeys(codes) if code not in self._known]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            prices = pool.map(lambda code: self.price_assembly(self.disassemble(code)), new)
            self._known.update(zip(new, prices))
        return {code: self._known[code] for code in codes}


def _hottest(counts, coverage):
    """The fewest blocks that ran `coverage` of the instructions, costliest first, and all instructions."""
    size = {key: count * (len(key[1]) // INSTRUCTION_DIGITS) for key, count in counts.items()}
    instructions = sum(size.values())
    hot, covered = [], 0
    for key in sorted(size, key=lambda key: (-size[key], key)):
        if covered >= coverage * instructions:
            break
        hot.append(key)
        covered += size[key]
    return hot, size, instructions


def estimate(counts, pricer, coverage=0.995, names=((), ())):
    """The Estimate of a section. `names` as symbols() gives them."""
    hot, size, instructions = _hottest(counts, coverage)
    prices = pricer.price_all([code for _, code in hot])
    starts, labels = names
    functions, blocks, priced = collections.Counter(), [], 0
    for address, code in hot:
        each = prices[code]
        if each is None:
            continue
        at = bisect.bisect_right(starts, address) - 1
        name = labels[at] if at >= 0 else hex(address)
        count = counts[address, code]
        functions[name] += count * each
        blocks.append((count * each, count, each, name, code))
        priced += size[address, code]
    rest = instructions - priced
    cycles = sum(functions.values()) + rest / FALLBACK_PER_CYCLE
    return Estimate(instructions, cycles, rest / max(1, instructions), dict(functions), sorted(blocks, reverse=True))


def read_base(path, cpu):
    """The JSON of an earlier run that --minus takes away."""
    if path is None:
        return {"instructions": 0, "cycles": 0, "functions": {}}
    try:
        base = json.loads(pathlib.Path(path).read_text())
        missing = {"cpu", "instructions", "cycles", "functions"} - base.keys()
    except OSError as error:
        raise ArmCyclesError(f"--minus {path}: {error.strerror}") from None
    except (ValueError, AttributeError):
        raise ArmCyclesError(f"--minus {path}: expected what --json writes, found something else") from None
    if missing:
        raise ArmCyclesError(f"--minus {path}: no '{sorted(missing)[0]}': expected what --json writes")
    if base["cpu"] != cpu:
        raise ArmCyclesError(f"--minus {path}: is of the core {base['cpu']}, this run is of {cpu}")
    return base


def report(result, base, options, pricer):
    """Prints the totals, the costliest functions and, if asked for, blocks."""
    instructions = result.instructions - base["instructions"]
    cycles = result.cycles - base["cycles"]
    rate = instructions / cycles if cycles > 0 else 0
    print(f"instructions {instructions:.4g}  cycles {cycles:.4g} ({options.cpu})  instructions per cycle {rate:.2f}")
    difference = collections.Counter(result.functions)
    difference.subtract(base["functions"])
    for name, cost in difference.most_common(options.top):
        print(f"{100 * cost / cycles if cycles > 0 else 0:6.2f}%  {cost:10.4g}  {name[:110]}")
    for cost, count, each, name, code in result.blocks[: options.show]:
        print(f"\n{name}: ran {count} times, {each:.1f} cycles each, {cost:.4g} in all\n{pricer.disassemble(code)}")


def parse_arguments(words):
    parser = argparse.ArgumentParser(
        prog="armcycles.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cpu", default="neoverse-n2", help="core that llvm-mca models (default: %(default)s)")
    parser.add_argument("--qemu-cpu", default="max", help="processor that QEMU shows to the program (default: %(default)s)")
    parser.add_argument("--top", type=int, default=12, help="functions to list (default: %(default)s)")
    parser.add_argument("--show", type=int, default=0, help="costliest blocks whose code is printed (default: %(default)s)")
    parser.add_argument(
        "--coverage", type=float, default=0.995,
        help="share of the instructions that is priced, the rest counts as 2 a cycle (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--minus", metavar="FILE", help="take away an earlier run, as --json wrote it")
    parser.add_argument("--json", metavar="FILE", help="write the totals there")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="program for AArch64 and its arguments, after --")
    options = parser.parse_args(words)
    options.command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not options.command:
        parser.error("no program given")
    if not 0 < options.coverage <= 1:
        parser.error(f"--coverage: expected a share above 0 and at most 1, got {options.coverage}")
    return options


def run(options):
    tools = find_tools()
    base = read_base(options.minus, options.cpu)
    has_fixed_addresses = check_program(options.command[0])
    pricer = Pricer(tools, options.cpu)
    sections, _ = profile(tools, options.command, options.qemu_cpu)
    counts = sum(sections, collections.Counter())
    names = symbols(tools, options.command[0]) if has_fixed_addresses else ((), ())
    result = estimate(counts, pricer, options.coverage, names)
    if options.json:
        totals = {"cpu": options.cpu, "llvm": tools.llvm_version, "instructions": result.instructions}
        totals |= {"cycles": result.cycles, "unpriced": result.unpriced, "functions": result.functions}
        pathlib.Path(options.json).write_text(json.dumps(totals, indent=1) + "\n")
    report(result, base, options, pricer)


def main(words=None):
    try:
        run(parse_arguments(words))
    except ArmCyclesError as error:
        sys.exit(f"armcycles: {error}")
    except OSError as error:
        sys.exit(f"armcycles: {error.filename}: {error.strerror}")


if __name__ == "__main__":
    main()
