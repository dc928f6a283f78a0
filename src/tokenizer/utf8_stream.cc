#include "tokenizer/utf8_stream.h"

#include <utility>

#include "tokenizer/unicode.h"

namespace stonechat {
namespace {

constexpr std::string_view kReplacementText = "\xef\xbf\xbd";

// True when `text`, which is not valid UTF-8 yet, can become a character by more bytes.
bool may_become_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() >= bytes) return false;
  for (size_t i = 1; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0U) != 0x80U) return false;
  }
  if (text.size() == 1) return true;
  // The second byte already decides about overlong forms, surrogates and the end of Unicode.
  const auto second = static_cast<unsigned char>(text[1]);
  if (lead == 0xe0) return second >= 0xa0;
  if (lead == 0xed) return second < 0xa0;
  if (lead == 0xf0) return second >= 0x90;
  if (lead == 0xf4) return second < 0x90;
  return true;
}

}  // namespace

std::string Utf8Stream::push(std::string_view bytes) {
  pending_ += bytes;
  std::string complete;
  size_t offset = 0;
  while (offset < pending_.size()) {
    const Character character = character_at(pending_, offset);
    const bool is_byte = character.code == kReplacement && character.bytes == 1;
    if (is_byte && may_become_character(std::string_view(pending_).substr(offset))) break;
    complete += is_byte ? kReplacementText : std::string_view(pending_).substr(offset, character.bytes);
    offset += character.bytes;
  }
  pending_.erase(0, offset);
  return complete;
}

std::string Utf8Stream::finish() {
  return std::exchange(pending_, {}).empty() ? std::string() : std::string(kReplacementText);
}

}  // namespace stonechat
