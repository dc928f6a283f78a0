#!/usr/bin/env python3
"""Holds the one-way dependencies of docs/design.md: which folder of src/ may include which.

    tests/check_includes.py [SRC]

Prints each include that goes the wrong way; exit code 1 when there is one. Sources made for one instruction set may
include C headers and intrinsics only, besides the headers of the kernels.
"""
import pathlib
import re
import sys

MAY_INCLUDE = {
    "base": set(),
    "gguf": {"base"},
    "safetensors": {"base"},
    "quant": {"base", "gguf"},
    "kernels": {"base", "quant"},
    "tokenizer": {"base", "gguf"},
    "publisher": {"base", "gguf", "safetensors", "tokenizer"},
    "hub": {"base"},
    "model": {"base", "gguf", "quant", "kernels"},
    "engine": {"base", "gguf", "kernels", "model", "tokenizer"},
    "eval": {"base", "gguf", "quant", "kernels", "model", "tokenizer", "engine"},
    "report": {"base", "eval"},
}
# kernels may see the plain structs of block formats, no more of quant.
ONLY_HEADERS = {("kernels", "quant"): {"quant/block_formats.h"}}
ISA_SOURCE = re.compile(r"/(avx|amx|neon|simd_|code_|float_|attention_rows|weight_streams)\w*\.(cc|h)$")
ISA_MAY_INCLUDE = re.compile(
    r"<(immintrin|arm_neon|assert|math|stddef|stdint|string|float)\.h>|"
    r'"(kernels/(kernel_table|tables|attention_rows|code_formats|float_packs|weight_streams|avx\w*|amx\w*|neon\w*|simd_\w*)\.h|'
    r'base/cpu_feature_bits\.h|quant/block_formats\.h)"'
)


def wrong_includes(source):
    for path in sorted(source.rglob("*")):
        if path.suffix not in (".h", ".cc"):
            continue
        folder = path.relative_to(source).parts[0]
        if folder not in MAY_INCLUDE:
            yield f"{path}: no folder of the design"
            continue
        is_test = "test" in path.stem
        for number, line in enumerate(path.read_text().splitlines(), 1):
            include = re.match(r'\s*#include\s+(<[^>]+>|"[^"]+")', line)
            if not include:
                continue
            name = include[1]
            if ISA_SOURCE.search(str(path)) and not is_test and not ISA_MAY_INCLUDE.match(name):
                yield f"{path}:{number}: {name} in a source for one instruction set"
            target = name[1:-1].split("/")[0]
            if name[0] != '"' or target not in MAY_INCLUDE or target == folder:
                continue
            allowed = target in MAY_INCLUDE[folder]
            only = ONLY_HEADERS.get((folder, target))
            if not allowed or (only and name[1:-1] not in only):
                yield f"{path}:{number}: {folder} may not include {name}"


if __name__ == "__main__":
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "src"
    problems = list(wrong_includes(root))
    print("\n".join(problems) if problems else "includes follow the design")
    sys.exit(1 if problems else 0)
