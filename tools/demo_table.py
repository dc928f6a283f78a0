#!/usr/bin/env python3
"""Prints the table of tools/demo from the JSON files of its measurements, in the directory given."""
import json
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])
bench = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("f32", "q8")}
kl = json.loads((folder / "kl.json").read_text())


def speed(name, key):
    test = next(test for test in bench[name] if test[key])
    return f"{test['avg_ts']:.1f} ± {test['stddev_ts']:.1f}"


def both(value):
    return [value("f32"), value("q8")]


first = {name: tests[0] for name, tests in bench.items()}
rows = [
    ["size, MiB", *both(lambda name: f"{first[name]['model_size'] / 2**20:.2f}")],
    ["parameters, M", *both(lambda name: f"{first[name]['model_n_params'] / 1e6:.2f}")],
    ["prompt of 256, tokens/s", *both(lambda name: speed(name, "n_prompt"))],
    ["decode of 32, tokens/s", *both(lambda name: speed(name, "n_gen"))],
    ["peak memory, MiB", *both(lambda name: f"{max(t['peak_rss_bytes'] for t in bench[name]) / 2**20:.0f}")],
    ["perplexity", f"{kl['ppl_reference']:.3f}", f"{kl['ppl']:.3f}"],
    ["mean KL divergence, nats", "0", f"{kl['mean_kl']:.5f} ± {kl['mean_kl_error']:.5f}"],
    ["same top token", "100 %", f"{100 * kl['same_top']:.1f} %"],
]
header = ["", "FP32", "Q8_0"]
widths = [max(len(row[i]) for row in [header, *rows]) for i in range(3)]
print(f"\n{first['q8']['cpu_info']}, {first['q8']['n_threads']} threads, kernels {first['q8']['kernels']}\n")
for row in [header, ["-" * width for width in widths], *rows]:
    print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
