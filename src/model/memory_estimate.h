// What memory a run of a model would take, from its file's tables alone.
#pragma once

#include <cstdint>

#include "gguf/reader.h"
#include "model/config.h"

namespace stonechat {

struct MemoryEstimate {
  uint64_t weights_bytes = 0;     // packed, in the formats that are computed with
  uint64_t cache_bytes = 0;       // binary16, at `context` tokens
  uint64_t code_cache_bytes = 0;  // the same in 8 bits
  uint64_t activation_bytes = 0;  // of a batch of `batch` tokens, and logits
  uint64_t total() const { return weights_bytes + cache_bytes + activation_bytes; }
};

MemoryEstimate estimate_memory(const gguf::Reader& file, const ModelConfig& config, uint32_t context,
                               uint32_t batch);

}  // namespace stonechat
