#!/usr/bin/env python3
"""Runs the GoogleTest programs of a build, all processors at once.

    tests/run_units.py BUILD OUT [--filter GTEST_FILTER] [--only PROGRAM...] [--runner qemu-aarch64]

A program runs in several processes, each with a share of its tests (GTEST_TOTAL_SHARDS): a process a test, as ctest
does it, takes most of the time where a program starts slowly, under an emulator or the sanitizers. JUnit files of all of
them go to OUT/, one for an exit code besides that no test explains. Output is shown of what failed. Exit code 1 when
something did, a crash, a hang, a leak or a data race included.
"""
import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as tree

SHARDS = 6  # a program's: more than processors, so that a slow test doesn't leave one alone at the end
SECONDS = 900


def tells_failure(report):
    try:
        return tree.parse(report).find(".//failure") is not None
    except (OSError, tree.ParseError):
        return False


def run(program, shard, arguments):
    report = arguments.out / f"{program.name}-{shard}.xml"
    environment = {**os.environ, "GTEST_TOTAL_SHARDS": str(SHARDS), "GTEST_SHARD_INDEX": str(shard)}
    words = [*arguments.runner.split(), program, "--gtest_brief=1", f"--gtest_output=xml:{report}"]
    if arguments.filter:
        words.append(f"--gtest_filter={arguments.filter}")
    try:
        done = subprocess.run(words, env=environment, capture_output=True, text=True, errors="replace", timeout=SECONDS)
        code, output = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired as error:
        code, output = "timeout", (error.stdout or b"").decode(errors="replace")
    if code == 0:
        return True
    print(f"--- {program.name}, share {shard + 1} of {SHARDS}: exit code {code}\n{output[-8000:]}", flush=True)
    if not tells_failure(report):  # a crash, or what a sanitizer found at the end: nothing else would count it
        root = tree.Element("testsuites")
        case = tree.SubElement(tree.SubElement(root, "testsuite"), "testcase", name=report.stem)
        tree.SubElement(case, "failure", message=f"exit code {code}")
        tree.ElementTree(root).write(report.with_suffix(".exit.xml"))
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--filter", default="")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--runner", default="")
    arguments = parser.parse_args()
    programs = sorted(arguments.build.glob("bin/*_test"), key=lambda path: -path.stat().st_size)
    if arguments.only:
        programs = [program for program in programs if program.name in arguments.only]
    if not programs:
        sys.exit(f"{arguments.build}/bin: no test programs")
    arguments.out.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        done = list(pool.map(lambda job: run(*job, arguments), [(p, s) for p in programs for s in range(SHARDS)]))
    sys.exit(0 if all(done) else 1)


if __name__ == "__main__":
    main()
