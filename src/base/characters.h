// Text cut to a length, as users are shown it.
#pragma once

#include <cstddef>
#include <string_view>

namespace stonechat {

// The beginning of a text of UTF-8, of at most so many bytes, not cut within a character.
inline std::string_view whole_characters(std::string_view text, size_t most_bytes) {
  if (text.size() <= most_bytes) return text;
  size_t end = most_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
  return text.substr(0, end);
}

}  // namespace stonechat
