// The printable characters that byte-level vocabularies write bytes as.
//
// GPT-2's bytes_to_unicode: the bytes '!'..'~', 0xA1..0xAC and 0xAE..0xFF are the characters of the same
// number; the others, in order, are U+0100 and up.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace stonechat {

// The bytes that a vocabulary entry stands for; nothing when it has a character that isn't of the alphabet.
std::optional<std::string> bytes_of_entry(std::string_view entry);

// Whether bytes_of_entry() gives something.
bool is_entry(std::string_view text);

// The vocabulary entry of these bytes.
std::string entry_of_bytes(std::string_view bytes);

}  // namespace stonechat
