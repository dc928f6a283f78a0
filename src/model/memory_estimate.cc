#include "model/memory_estimate.h"

#include <algorithm>
#include <span>
#include <vector>

#include "base/checked.h"
#include "base/error.h"
#include "model/key_shift.h"
#include "model/kv_cache.h"
#include "model/rope_table.h"
#include "model/weight_formats.h"

namespace stonechat {
namespace {

// How many heads Weights::wide_key_heads will tell; 0 where the biases can't be read as they are.
uint32_t wide_key_heads(const gguf::Reader& file, const ModelConfig& config) {
  const std::vector<double> frequencies = rope_frequencies(config, {});
  uint32_t heads = 0;
  std::vector<float> bias(config.kv_width());
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    const gguf::TensorInfo* tensor = file.find_tensor(fmt::format("blk.{}.attn_k.bias", layer));
    if (tensor == nullptr || tensor->type != gguf::TensorType::kF32 || tensor->elements() != bias.size())
      return 0;
    file.read_rows(*tensor, 0, 1, std::as_writable_bytes(std::span(bias)));
    for (uint32_t head = 0; head < config.kv_heads; ++head) {
      const auto of_head = std::span(bias).subspan(size_t{head} * config.head_dim, config.head_dim);
      heads += has_fast_bias(of_head, frequencies) ? 1 : 0;
    }
  }
  return heads;
}

}  // namespace

MemoryEstimate estimate_memory(const gguf::Reader& file, const ModelConfig& config, uint32_t context,
                               uint32_t batch) {
  MemoryEstimate estimate;
  const auto formats = matrix_formats(file, config);  // empty for a packed file: its packs have other names
  for (const auto& tensor : file.tensors()) {
    const auto format = formats.find(tensor.name);
    estimate.weights_bytes +=
        format == formats.end() ? tensor.bytes
                                : tensor.rows() * gguf::row_bytes(tensor_type(format->second), tensor.cols());
  }
  const uint32_t wide_heads = wide_key_heads(file, config);
  const auto cache_bytes = [&](CacheFormat format) {
    return round_up(context, kKeyTile) * KvCache::token_bytes(config, wide_heads, {format, format});
  };
  estimate.cache_bytes = cache_bytes(kCacheF16);
  estimate.code_cache_bytes = cache_bytes(kCacheQ8);
  const uint64_t widest = std::max(config.query_width(), config.width);
  // Residual, normed, Q K V, gate and up, prepared activations (at most as large as floats).
  const uint64_t token_bytes = 4 * (uint64_t{config.width} + widest + config.query_width() +
                                    2 * config.kv_width() + 3 * uint64_t{config.mlp_width});
  estimate.activation_bytes = std::min(batch, context) * token_bytes + 4 * uint64_t{config.vocabulary};
  return estimate;
}

}  // namespace stonechat
