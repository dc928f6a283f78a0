#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints, as Markdown, what the Arm kernels and a whole model cost by the estimate of armcycles.py.

    kernel_report.py --driver build/arm-cycles/bin/arm_cycles_driver [--program build/arm-cycles/stonechat --model FILE]

Without --model only the kernels are run. `make arm-cycles` builds what is needed and calls this.
"""
import argparse
import collections
import concurrent.futures
import dataclasses
import os
import sys

import armcycles

# Each table, and the processor that QEMU shows it: the oldest that has its instructions.
TABLES = {
    "neon": "cortex-a53",
    "neon_dotprod": "neoverse-n1",
    "neon_i8mm": "max",
}
# Instructions without which there is no product (registers {0}: a sum, {1}: a temporary), and their multiply-adds.
SMULL_SADALP = (
    "SMULL, SMLAL2, SADALP",
    ["smull v{1}.8h, v30.8b, v31.8b", "smlal2 v{1}.8h, v30.16b, v31.16b", "sadalp v{0}.4s, v{1}.8h"],
    16,
)
FMLA = ("FMLA", ["fmla v{0}.4s, v30.4s, v31.s[0]"], 4)
SDOT = ("SDOT", ["sdot v{0}.4s, v30.16b, v31.4b[0]"], 16)
SMMLA = ("SMMLA", ["smmla v{0}.4s, v30.16b, v31.16b"], 32)
# By (table, weights). The price of many of them at once is the limit.
LIMITS = {
    **{("neon", weights): FMLA for weights in ("F32", "F16", "BF16")},
    ("neon", "Q8_0"): SMULL_SADALP,
    ("neon", "Q8Row"): SMULL_SADALP,
    ("neon", "Q4_0"): (
        "SMLAL, SMULL2, ADD",
        ["smlal v{0}.8h, v30.8b, v31.8b", "smull2 v{1}.8h, v30.16b, v31.16b", "add v{0}.8h, v{0}.8h, v{1}.8h"],
        16,
    ),
    **{("neon_dotprod", weights): SDOT for weights in ("Q8_0", "Q8Row", "Q4_0")},
    **{("neon_i8mm", weights): SMMLA for weights in ("Q8_0", "Q8Row", "Q4_0")},
}
LIMIT_CHAINS = 12  # independent sums, enough to hide the latency
LIMIT_ROUNDS = 16  # of them, so that the last one's latency hardly counts
PRODUCTS = ("Q8_0", "Q8Row", "Q4_0", "F32", "F16", "BF16", "Algorithm 1")
GROUPS = (*PRODUCTS, "quantize", "attention", "rows")  # of the driver
PROMPTS = (32, 96)
DECODED = 4


@dataclasses.dataclass
class Section:
    """One kernel at work, as the driver describes it, with its estimate."""

    group: str
    shape: str
    tokens: int
    unit: str
    amount: float
    estimate: armcycles.Estimate

    @property
    def rate(self):
        return self.amount / self.estimate.cycles


def limit_of(pricer, table, group):
    """(what limits the products of a group, multiply-adds a cycle), or None where that isn't known."""
    if (table, group) not in LIMITS:
        return None
    name, steps, products = LIMITS[table, group]
    lines = [step.format(i, 12 + i) for step in steps for i in range(LIMIT_CHAINS)]
    cycles = pricer.price_assembly("\n".join(lines * LIMIT_ROUNDS) + "\n")
    return (name, LIMIT_ROUNDS * LIMIT_CHAINS * products / cycles) if cycles else None


def run_kernels(tools, pricer, driver, table, qemu_cpu, group=None):
    """The sections of one table, of one of the driver's groups or of all."""
    command = [driver, table, *([group] if group else [])]
    counted, text = armcycles.profile(tools, command, qemu_cpu, capture=True)
    lines = text.splitlines()
    between_marks = counted[1::2]
    if len(between_marks) != len(lines):
        raise armcycles.ArmCyclesError(f"{driver} {table}: {len(lines)} sections named, {len(between_marks)} counted")
    sections = []
    for line, counts in zip(lines, between_marks):
        group, shape, tokens, unit, amount = line.split("|")
        estimate = armcycles.estimate(counts, pricer)
        sections.append(Section(group, shape, int(tokens), unit, float(amount), estimate))
    return sections


def print_table(title, header, rows):
    if not rows:
        return
    print(title + "\n")
    rows = [[str(cell) for cell in row] for row in rows]
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def print_kernels(by_table, limits):
    rows = collections.defaultdict(dict)
    for table, sections in by_table.items():
        for section in sections:
            if section.group not in PRODUCTS:
                continue
            limit = limits.get((table, section.group))
            share = f" ({100 * section.rate / limit[1]:.0f} %)" if limit else ""
            rows[table, section.group, section.tokens][section.shape] = f"{section.rate:.1f}{share}"
    shapes = list(dict.fromkeys(shape for cells in rows.values() for shape in cells))
    body = []
    for (table, group, tokens), cells in rows.items():
        limit = limits.get((table, group))
        what = f"{limit[0]}, {limit[1]:.1f}" if limit else ""
        body.append([table, group, tokens, *(cells.get(shape, "") for shape in shapes), what])
    title = "Matrix products, multiply-adds a cycle (share of the limit):"
    print_table(title, ["table", "weights", "tokens", *shapes, "limit"], body)
    body = [
        [table, s.group, s.shape, s.tokens, f"{s.estimate.cycles:,.0f}", f"{s.rate:.2f} {s.unit}"]
        for table, sections in by_table.items()
        for s in sections
        if s.group not in PRODUCTS
    ]
    print_table("Other kernels:", ["table", "kernel", "shape", "tokens", "cycles", "a cycle"], body)


def run_models(tools, pricer, options, tables):
    """{table: (cycles a prompt token, of a longer prompt less a shorter one; cycles a decoded token)}."""
    short, long = PROMPTS
    runs = {
        "short": ["-p", str(short), "-n", "0"],
        "long": ["-p", str(long), "-n", "0"],
        "decode": ["-p", "0", "-n", "0", "-pg", f"{short},{DECODED}"],
    }

    def count(table, words):
        command = [options.program, "bench", "-m", options.model, "-t", "1", "-r", "1", "--no-warmup", *words]
        counted, _ = armcycles.profile(tools, command, tables[table], {"STONECHAT_ISA": table}, capture=True)
        return sum(counted, collections.Counter())

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        counting = {(table, run): pool.submit(count, table, words) for table in tables for run, words in runs.items()}
        cycles = {key: armcycles.estimate(run.result(), pricer).cycles for key, run in counting.items()}
    return {
        table: (
            (cycles[table, "long"] - cycles[table, "short"]) / (long - short),
            (cycles[table, "decode"] - cycles[table, "short"]) / DECODED,
        )
        for table in tables
    }


def parse_arguments(words):
    parser = argparse.ArgumentParser(
        prog="kernel_report.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--driver", required=True, help="arm_cycles_driver, built for AArch64")
    parser.add_argument("--program", help="stonechat, built for AArch64")
    parser.add_argument("--model", help="model to run, with --program")
    parser.add_argument("--cpu", default="neoverse-n2", help="core that llvm-mca models (default: %(default)s)")
    parser.add_argument("--table", choices=TABLES, action="append", help="only this table (repeatable; default: all)")
    parser.add_argument("--group", choices=GROUPS, help="only these kernels (default: all)")
    options = parser.parse_args(words)
    if bool(options.program) != bool(options.model):
        parser.error("--program and --model go together")
    return options


def run(options):
    tools = armcycles.find_tools()
    armcycles.check_program(options.driver)
    pricer = armcycles.Pricer(tools, options.cpu)
    tables = {name: cpu for name, cpu in TABLES.items() if not options.table or name in options.table}
    by_table = {
        name: run_kernels(tools, pricer, options.driver, name, cpu, options.group) for name, cpu in tables.items()
    }
    limits = {key: limit_of(pricer, *key) for key in LIMITS}
    print(f"Estimated for {options.cpu} by QEMU's counts and llvm-mca {tools.llvm_version}, one thread.\n")
    print_kernels(by_table, limits)
    if options.model:
        results = run_models(tools, pricer, options, tables)
        body = [[name, f"{prompt / 1e6:.2f}", f"{decode / 1e6:.2f}"] for name, (prompt, decode) in results.items()]
        title = f"The whole model, millions of cycles a token (prompts of {PROMPTS[1]} less {PROMPTS[0]} tokens):"
        print_table(title, ["table", "prompt", "decode, besides memory"], body)


def main(words=None):
    try:
        run(parse_arguments(words))
    except armcycles.ArmCyclesError as error:
        sys.exit(f"kernel_report: {error}")


if __name__ == "__main__":
    main()
