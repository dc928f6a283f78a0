#include "model/memory_estimate.h"

#include <algorithm>

#include "model/kv_cache.h"

namespace stonechat {
namespace {

uint64_t packed_bytes(const gguf::TensorInfo& tensor) {
  const bool is_block_type = info(tensor.type).block_elements > 1;
  if (!is_block_type) return tensor.bytes;
  const gguf::TensorTypeInfo& q8_0 = info(gguf::TensorType::kQ8_0);
  return tensor.elements() / q8_0.block_elements * q8_0.block_bytes;
}

}  // namespace

MemoryEstimate estimate_memory(const gguf::Reader& file, const ModelConfig& config, uint32_t context,
                               uint32_t batch) {
  MemoryEstimate estimate;
  for (const auto& tensor : file.tensors()) estimate.weights_bytes += packed_bytes(tensor);
  estimate.cache_bytes = KvCache::bytes_for(config, context);
  const uint64_t widest = std::max(config.query_width(), config.width);
  // Residual, normed, Q K V, gate and up, prepared activations (at most as large as floats), binary16 keys
  // and values.
  const uint64_t token_bytes = 4 * (uint64_t{config.width} + widest + config.query_width() +
                                    3 * config.kv_width() + 3 * uint64_t{config.mlp_width});
  estimate.activation_bytes = std::min(batch, context) * token_bytes + 4 * uint64_t{config.vocabulary};
  return estimate;
}

}  // namespace stonechat
