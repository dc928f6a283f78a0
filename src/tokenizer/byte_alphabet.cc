#include "tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "tokenizer/unicode.h"

namespace stonechat {
namespace {

constexpr char32_t kFirstReplaced = 0x100;
constexpr int kReplacedBytes = 68;

constexpr bool stands_for_itself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
}

// The byte of each character below U+0144, or -1.
constexpr auto kByteOfCharacter = [] {
  std::array<int16_t, kFirstReplaced + kReplacedBytes> table{};
  table.fill(-1);
  int replaced = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const int character = stands_for_itself(byte) ? byte : static_cast<int>(kFirstReplaced) + replaced++;
    table[static_cast<size_t>(character)] = static_cast<int16_t>(byte);
  }
  return table;
}();

}  // namespace

std::optional<std::string> bytes_of_entry(std::string_view entry) {
  std::string bytes;
  for (size_t offset = 0; offset < entry.size();) {
    const Character character = character_at(entry, offset);
    offset += character.bytes;
    if (character.code >= kByteOfCharacter.size() || kByteOfCharacter[character.code] < 0)
      return std::nullopt;
    bytes += static_cast<char>(kByteOfCharacter[character.code]);
  }
  return bytes;
}

}  // namespace stonechat
