// What a publisher's config.json says of a model, and the same as GGUF metadata.
//
// Names of config.json are those of transformers' Qwen2Config and LlamaConfig; keys of GGUF are those that
// llama.cpp's converter writes for the same file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/strict_json.h"
#include "gguf/metadata.h"

namespace stonechat {

struct PublisherRope {
  enum class Scaling { kNone, kLinear, kYarn, kLlama3 };
  Scaling scaling = Scaling::kNone;
  std::optional<double> base;
  double factor = 1;
  uint64_t original_context = 0;  // kYarn, kLlama3
  double low_frequency_factor = 1;
  double high_frequency_factor = 4;
  std::optional<double> yarn_extrapolation, yarn_attention, yarn_beta_fast, yarn_beta_slow;
};

struct PublisherConfig {
  std::string architecture;  // "qwen2" or "llama"
  uint64_t layers = 0;
  uint64_t context_length = 0;
  uint64_t width = 0;
  uint64_t mlp_width = 0;
  uint64_t heads = 0;
  std::optional<uint64_t> kv_heads;  // absent: as many as heads
  std::optional<uint64_t> head_dim;  // absent: width / heads
  uint64_t vocabulary = 0;
  double rms_epsilon = 0;
  bool tied_embeddings = false;
  PublisherRope rope;

  // Error{kBadFile} for another architecture, and for what the architectures' GGUF can't say.
  static PublisherConfig from(const JsonFields& config);

  uint64_t head_width() const { return head_dim.value_or(width / heads); }
  uint64_t query_width() const { return heads * head_width(); }
  uint64_t kv_width() const { return kv_heads.value_or(heads) * head_width(); }
  // Of rope_freqs.weight, (head_width / 2), for scaling of the kind llama3; else empty.
  std::vector<float> rope_factors() const;
};

// ARCHITECTURE.block_count and the like.
void add_hyperparameters(const PublisherConfig& config, gguf::Metadata& metadata);

}  // namespace stonechat
