// Characters of UTF-8 text and the classes that pre-tokenizers ask for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stonechat {

enum class CharClass : uint8_t { kLetter, kNumber, kSpace, kOther };

inline constexpr char32_t kReplacement = 0xfffd;

struct Character {
  char32_t code;   // kReplacement for a byte that isn't UTF-8
  uint32_t bytes;  // 1 to 4; 1 for such a byte
};

// The character at `text[offset]`; offset < text.size(). Strict: no overlong forms, no surrogates.
Character character_at(std::string_view text, size_t offset);

// \p{L}, \p{N}, \s (the property White_Space), or none of them.
CharClass class_of(char32_t code);

}  // namespace stonechat
