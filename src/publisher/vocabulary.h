// The vocabulary of a publisher's tokenizer.json, as GGUF metadata.
//
// Only byte-level BPE; the pre-tokenizer must be one of those that GGUF has a name for and that we know.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/strict_json.h"
#include "gguf/metadata.h"

namespace stonechat {

struct Vocabulary {
  std::string pre_tokenizer;        // tokenizer.ggml.pre
  std::vector<std::string> tokens;  // by id
  std::vector<int64_t> types;       // tokenizer.ggml.token_type
  std::vector<std::string> merges;  // "left right", best first
};

// `size` tokens, of which those that the file doesn't name are "[PADn]". Error{kBadFile} for ids from `size`
// on, ids and texts that come twice, and tokenizers of another kind.
Vocabulary read_vocabulary(const JsonFields& tokenizer, uint64_t size);

// tokenizer.ggml.model, pre, tokens, token_type, merges.
void add_vocabulary(Vocabulary vocabulary, gguf::Metadata& metadata);

}  // namespace stonechat
