#include "tokenizer/unicode.h"

#include <algorithm>
#include <array>

#include "tokenizer/unicode_tables.h"

namespace stonechat {
namespace {

constexpr char32_t kAsciiEnd = 0x80;

bool is_in(std::span<const CodeRange> ranges, char32_t code) {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), code,
                       [](char32_t value, const CodeRange& range) { return value < range.first; });
  return after != ranges.begin() && code <= std::prev(after)->last;
}

// Unicode's PropList.txt, White_Space.
bool is_space(char32_t code) {
  return (code >= 0x9 && code <= 0xd) || code == 0x20 || code == 0x85 || code == 0xa0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f ||
         code == 0x205f || code == 0x3000;
}

CharClass look_up(char32_t code) {
  if (is_space(code)) return CharClass::kSpace;
  if (is_in(letter_ranges(), code)) return CharClass::kLetter;
  if (is_in(number_ranges(), code)) return CharClass::kNumber;
  return CharClass::kOther;
}

}  // namespace

Character character_at(std::string_view text, size_t offset) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[offset + i]); };
  const unsigned char lead = byte(0);
  if (lead < kAsciiEnd) return {lead, 1};
  const uint32_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() - offset < bytes) return {kReplacement, 1};
  char32_t code = lead & (0x7fU >> bytes);
  for (uint32_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return {kReplacement, 1};
    code = code << 6 | (byte(i) & 0x3fU);
  }
  const bool overlong = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  if (overlong || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {kReplacement, 1};
  return {code, bytes};
}

CharClass class_of(char32_t code) {
  static const std::array<CharClass, kAsciiEnd> ascii = [] {
    std::array<CharClass, kAsciiEnd> table{};
    for (char32_t character = 0; character < kAsciiEnd; ++character) table[character] = look_up(character);
    return table;
  }();
  return code < kAsciiEnd ? ascii[code] : look_up(code);
}

}  // namespace stonechat
