// What a model's name says of it: "SmolLM2-135M-Instruct" is the family SmolLM2 of 135M weights, tuned to
// instruct.
//
// The rules are those of the gguf package's Metadata, which llama.cpp's converter uses, so that the values
// are the same.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace stonechat {

// Empty where the name says nothing.
struct ModelName {
  std::string name;  // without the owner
  std::string organization;
  std::string basename;
  std::string finetune;
  std::string version;
  std::string size_label;
};

// `id` is "NAME" or "OWNER/NAME", of at most kMostModelIdBytes. `parameters` tells a size from a context
// length.
inline constexpr size_t kMostModelIdBytes = 256;
ModelName parse_model_name(std::string_view id, uint64_t parameters);

// "qwen2.5-coder-0.5b" as a title: "Qwen2.5 Coder 0.5b".
std::string title_of(std::string_view name);

// "135M" for 134515008.
std::string size_label_of(uint64_t parameters);

}  // namespace stonechat
