// Cuts text into the words within which byte-pair merges happen.
//
// Each style is a published regular expression, written here as a scanner that gives back one character at
// most, or the blanks after a run's last newline, which the next word takes: no input is slow. \p{L}, \p{N}
// and \s are those of tokenizer/unicode.h.
#pragma once

#include <optional>
#include <string_view>

namespace stonechat {

enum class PreTokenizer {
  // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  kGpt2,
  // (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|
  // \s+(?!\S)|\s+
  kLlamaBpe,
  // The same with \p{N} for \p{N}{1,3}.
  kQwen2,
  // Every \p{N} alone; what lies between them as gpt-2.
  kSmollm,
};

// By the file's name for it (tokenizer.ggml.pre); nothing when unknown.
std::optional<PreTokenizer> pre_tokenizer_from_name(std::string_view name);

// The length in bytes of the first word of `text`, which is not empty; at least 1.
size_t first_word_bytes(PreTokenizer style, std::string_view text);

}  // namespace stonechat
