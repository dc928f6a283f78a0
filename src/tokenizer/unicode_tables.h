// Which code points are letters (general category L) and numbers (N), as sorted ranges.
#pragma once

#include <cstdint>
#include <span>

namespace stonechat {

struct CodeRange {
  char32_t first;
  char32_t last;
};

std::span<const CodeRange> letter_ranges();
std::span<const CodeRange> number_ranges();

}  // namespace stonechat
