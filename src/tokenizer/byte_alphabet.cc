#include "tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>
#include <utility>

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

// The same the other way.
constexpr auto kCharacterOfByte = [] {
  std::array<uint16_t, 256> table{};
  for (size_t character = 0; character < kByteOfCharacter.size(); ++character) {
    if (kByteOfCharacter[character] >= 0)
      table[static_cast<size_t>(kByteOfCharacter[character])] = static_cast<uint16_t>(character);
  }
  return table;
}();

// Calls use(byte) for each; false at the first character that isn't of the alphabet.
template <typename Use>
bool for_each_byte(std::string_view entry, Use&& use) {
  for (size_t offset = 0; offset < entry.size();) {
    const Character character = character_at(entry, offset);
    offset += character.bytes;
    if (character.code >= kByteOfCharacter.size() || kByteOfCharacter[character.code] < 0) return false;
    use(static_cast<char>(kByteOfCharacter[character.code]));
  }
  return true;
}

}  // namespace

std::optional<std::string> bytes_of_entry(std::string_view entry) {
  std::string bytes;
  const bool known = for_each_byte(entry, [&](char byte) { bytes += byte; });
  return known ? std::optional(std::move(bytes)) : std::nullopt;
}

bool is_entry(std::string_view text) {
  return for_each_byte(text, [](char) {});
}

std::string entry_of_bytes(std::string_view bytes) {
  std::string entry;
  for (const char byte : bytes) {
    const uint32_t code = kCharacterOfByte[static_cast<uint8_t>(byte)];
    if (code < 0x80) {
      entry += static_cast<char>(code);
    } else {
      entry += static_cast<char>(0xc0U | code >> 6);
      entry += static_cast<char>(0x80U | (code & 0x3fU));
    }
  }
  return entry;
}

}  // namespace stonechat
