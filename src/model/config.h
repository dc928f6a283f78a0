// The numbers that define a model, read and checked from the metadata of a GGUF or packed file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "gguf/reader.h"

namespace stonechat {

// Where a packed file says what GGUF files say in general.architecture and in token_embd.weight's shape.
inline constexpr std::string_view kPackArchitectureKey = "stonechat.pack.architecture";
inline constexpr std::string_view kPackVocabularyKey = "stonechat.pack.vocabulary";

inline constexpr uint32_t kMostHeadDim = 256;

struct ModelConfig {
  std::string architecture;  // "qwen2" or "llama"
  std::string name;          // general.name, or the file's name
  uint32_t layers = 0;
  uint32_t width = 0;      // of the residual stream, a multiple of 32
  uint32_t heads = 0;      // query heads
  uint32_t kv_heads = 0;   // divides heads
  uint32_t head_dim = 0;   // a multiple of 32, at most kMostHeadDim
  uint32_t mlp_width = 0;  // a multiple of 32
  uint32_t vocabulary = 0;
  uint32_t context_length = 0;  // tokens that the model was trained for
  float rms_epsilon = 0;
  double rope_base = 10000;
  double rope_divisor = 1;  // linear scaling: positions are divided by it
  bool rope_pairs_adjacent =
      false;  // rows of Q and K pair dimensions (2i, 2i + 1), not (i, i + head_dim / 2)

  uint32_t query_width() const { return heads * head_dim; }
  uint32_t kv_width() const { return kv_heads * head_dim; }
  uint32_t qkv_width() const { return query_width() + 2 * kv_width(); }

  // Error{kBadFile} naming the key when it is missing, out of range, or asks for something that we don't
  // compute.
  static ModelConfig from(const gguf::ModelSource& file);
};

}  // namespace stonechat
