// Text to token ids and back: byte-level BPE from the vocabulary and merges that a GGUF file carries.
//
// Immutable after construction, so safe to share between threads. Text is bytes: encode() takes any of them,
// valid UTF-8 or not, in time linear in the input. decode(encode(text)) == text for plain text whose bytes
// all have a token (docs/decisions/0003-text.md). Errors: ErrorKind::kBadFile naming file, key, expected,
// found when the vocabulary is malformed or unknown.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/metadata.h"

namespace stonechat {

using TokenId = int32_t;

class Tokenizer {
 public:
  // Shares the texts of `metadata`, which may go.
  explicit Tokenizer(const gguf::Metadata& metadata);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  // What a tokenizer of this metadata takes, with the texts that it shares with it. 0 where these aren't
  // there.
  static uint64_t estimate_bytes(const gguf::Metadata& metadata);

  uint32_t vocabulary_size() const;

  enum class SpecialTokens { kPlainText, kParse };
  // kParse turns the text of control tokens such as <|im_end|> into their ids; kPlainText treats it like any
  // text. Never adds tokens; see add_bos().
  std::vector<TokenId> encode(std::string_view text, SpecialTokens special) const;

  // The bytes of one token; control tokens give their text when `show_special`, else nothing, and ids that
  // the vocabulary leaves unused nothing. An id outside of the vocabulary is Error{kUsage}.
  std::string decode(TokenId token, bool show_special = false) const;
  std::string decode(std::span<const TokenId> tokens, bool show_special = false) const;

  // True for ids that end a turn or text: end of sequence, end of turn, and the known names of such tokens.
  bool is_end(TokenId token) const;
  std::optional<TokenId> bos() const;
  bool add_bos() const;  // whether the file asks for bos before a text

 private:
  struct State;
  std::unique_ptr<const State> state_;
};

}  // namespace stonechat
