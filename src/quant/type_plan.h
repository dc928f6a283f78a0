// Which matrix of a model becomes which type: what a person or `stonechat quantize` wrote down.
//
// As JSON (docs/quantization.md):
//   {"type": "q8_t",
//    "rules": [{"tensors": "blk.*.ffn_down.weight", "type": "q8_r"},
//              {"tensors": "token_embd.weight", "type": "q8_0"}]}
// Of the rules that fit a tensor's name the last one counts; where none does, "type" does. In a pattern *
// stands for any text, ? for one character; everything else stands for itself. Types are the schemes of
// quant/schemes.h, and f32, f16, bf16.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/types.h"

namespace stonechat {

struct TypeRule {
  std::string tensors;  // pattern
  gguf::TensorType type = gguf::TensorType::kF32;
};

struct TypePlan {
  std::optional<gguf::TensorType> type;  // of what no rule fits
  std::vector<TypeRule> rules;

  // Error{kBadFile} naming `file`, field, expected, found: for what isn't JSON of this form, unknown fields
  // and types, fields that come twice, more than kMostBytes of text.
  static TypePlan parse(std::string_view json, const std::string& file);
  std::string to_json() const;
  static constexpr size_t kMostBytes = 1 << 20;

  // Nothing where no rule fits and there is no type for the rest.
  std::optional<gguf::TensorType> type_of(std::string_view tensor) const;
};

bool fits_pattern(std::string_view pattern, std::string_view name);

// "q8_t", "f16"; nothing for what can't be written.
std::optional<gguf::TensorType> writable_type(std::string_view name);
std::string writable_type_name(gguf::TensorType type);
// All of them: "q8_0, q8_t, ..., f32".
std::string writable_type_names();

}  // namespace stonechat
