// Which tokens of a publisher's model begin, end and pad, and the chat template, as GGUF metadata.
//
// The rules are those of the gguf package's SpecialVocab, which llama.cpp's converter uses, so that the
// values are the same.
#pragma once

#include <optional>
#include <string>

#include "base/strict_json.h"
#include "gguf/metadata.h"

namespace stonechat {

struct TokenizerFiles {
  JsonFields tokenizer;                          // tokenizer.json
  std::optional<JsonFields> tokenizer_config;    // tokenizer_config.json
  JsonFields config;                             // config.json
  std::optional<std::string> separate_template;  // chat_template.jinja, or what chat_template.json holds
};

// tokenizer.ggml.bos_token_id and the like, add_bos_token and the like, tokenizer.chat_template.
// Error{kBadFile} for ids from `vocabulary` on.
void add_special_tokens(const TokenizerFiles& files, uint64_t vocabulary, gguf::Metadata& metadata);

}  // namespace stonechat
