#!/usr/bin/env python3
"""Writes src/tokenizer/unicode_tables.cc: ranges of letters (\\p{L}) and numbers (\\p{N}).

Run by hand when the Unicode version shall change; the version is that of Python's unicodedata.
"""
import pathlib
import sys
import unicodedata


def ranges(first_letter):
    start = None
    for code in range(sys.maxunicode + 2):
        inside = code <= sys.maxunicode and unicodedata.category(chr(code)).startswith(first_letter)
        if inside and start is None:
            start = code
        elif not inside and start is not None:
            yield start, code - 1
            start = None


def table(name, first_letter):
    cells = [f"{{{first:#x}, {last:#x}}}" for first, last in ranges(first_letter)]
    lines = [f"constexpr CodeRange {name}[] = {{"]
    line = "   "
    for cell in cells:
        if len(line) + len(cell) + 2 > 110:
            lines.append(line)
            line = "   "
        line += f" {cell},"
    return "\n".join(lines + [line, "};"])


out = pathlib.Path(__file__).parent.parent / "src/tokenizer/unicode_tables.cc"
out.write_text(f"""// Made by tools/make_unicode_tables.py from Unicode {unicodedata.unidata_version}. Do not edit.
#include "tokenizer/unicode_tables.h"

namespace stonechat {{
namespace {{

// clang-format off
{table("kLetters", "L")}

{table("kNumbers", "N")}
// clang-format on

}}  // namespace

std::span<const CodeRange> letter_ranges() {{ return kLetters; }}
std::span<const CodeRange> number_ranges() {{ return kNumbers; }}

}}  // namespace stonechat
""")
