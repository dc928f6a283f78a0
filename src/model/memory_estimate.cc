#include "model/memory_estimate.h"

#include <algorithm>
#include <span>
#include <vector>

#include "base/checked.h"
#include "base/error.h"
#include "model/executor.h"
#include "model/key_shift.h"
#include "model/packed_file.h"
#include "model/packed_matrix.h"
#include "model/planned_stacks.h"
#include "model/rope.h"
#include "model/tensor_shelf.h"
#include "model/weight_formats.h"

namespace stonechat {
namespace {

// How many heads Weights::wide_key_heads will tell.
uint32_t count_wide_key_heads(const gguf::Reader& file, const ModelConfig& config) {
  TensorShelf shelf(file);
  const std::vector<double> frequencies = rope_frequencies(config, shelf.vector(rope_factors_plan(config)));
  uint32_t heads = 0;
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    for (const bool is_wide : heads_with_fast_bias(config, shelf.qkv_bias(config, layer), frequencies))
      heads += is_wide ? 1 : 0;
  }
  return heads;
}

// What one thread reads at once of the stack that needs most (see PackedMatrix), as stored and as packed
// from.
uint64_t piece_bytes(const gguf::Reader& file, const KernelTable& kernels,
                     std::span<const PlannedStack> stacks) {
  uint64_t most = 0;
  for (const PlannedStack& stack : stacks) {
    const uint64_t row_bytes = gguf::row_bytes(tensor_type(stack.format), stack.plan.cols);
    const uint64_t rows = PackedMatrix::rows_at_once(*kernels.linear[stack.format], row_bytes);
    uint64_t bytes = rows * row_bytes;
    const gguf::TensorInfo* tensor = file.find_tensor(stack.plan.parts[0].tensor);
    if (tensor != nullptr && !is_stored_as(tensor->type, stack.format)) bytes += rows * tensor->row_bytes();
    most = std::max(most, bytes);
  }
  return most;
}

uint64_t activation_bytes(const ModelConfig& config, const KernelTable& kernels,
                          std::span<const PlannedStack> stacks, const RunShape& shape) {
  const auto tokens = static_cast<uint32_t>(std::min<uint64_t>(shape.tuning.batch, shape.pass_tokens));
  const uint64_t widest = std::max(config.width, config.query_width());
  // The head is the last matrix that isn't of a layer.
  const size_t outside = stacks.size() - 4 * size_t{config.layers};
  uint64_t prepared = 0;
  uint64_t prepared_down = 0;
  for (size_t i = outside - 1; i < stacks.size(); ++i) {
    const bool head = i < outside;
    const bool down = !head && (i - outside) % 4 == 3;
    const uint64_t bytes = kernels.linear[stacks[i].format]->prepared_bytes(head ? shape.logits_rows : tokens,
                                                                            stacks[i].plan.cols);
    uint64_t& most = down ? prepared_down : prepared;
    most = std::max(most, bytes);
  }
  const uint64_t floats =
      tokens * (config.width + widest + config.head_dim) + uint64_t{shape.hidden_rows} * config.width;
  return floats * sizeof(float) + prepared +
         std::max(uint64_t{tokens} * config.qkv_width() * sizeof(float), prepared_down) +
         shape.threads * Executor::scratch_bytes(config, kernels, shape.tuning);
}

// Vectors of the weights, and the keys' shifts.
uint64_t small_bytes(const gguf::Reader& file, const ModelConfig& config, const RunShape& shape) {
  uint64_t floats = 0;
  bool biased = false;
  for (const VectorPlan& plan : all_vector_plans(config)) {
    if (file.find_tensor(plan.tensor) == nullptr) continue;
    floats += plan.length;
    biased = biased || plan.tensor.ends_with("attn_k.bias");
  }
  if (biased) floats += 3 * ceil_div(shape.tokens, kKeyShift) * config.layers * uint64_t{config.kv_width()};
  return floats * sizeof(float);
}

}  // namespace

uint64_t MemoryEstimate::peak() const {
  const uint64_t cache_and_buffers =
      parts[MemoryPart::kKvCache] + parts[MemoryPart::kActivations] + parts[MemoryPart::kLogits];
  return running() - cache_and_buffers + std::max(cache_and_buffers, parts[MemoryPart::kPacking]);
}

MemoryEstimate operator+(const MemoryEstimate& a, const MemoryEstimate& b) {
  MemoryEstimate sum;
  for (const MemoryPart part : memory_parts()) sum.parts[part] = a.parts[part] + b.parts[part];
  return sum;
}

MemoryEstimate estimate_memory(const gguf::Reader& file, const ModelConfig& config,
                               const KernelTable& kernels, const RunShape& shape) {
  const std::vector<PlannedStack> stacks = planned_stacks(file, config);
  MemoryEstimate estimate;
  MemoryByPart& parts = estimate.parts;
  if (is_packed(file.metadata())) {
    parts[MemoryPart::kWeights] = file.file().bytes();
  } else {
    parts[MemoryPart::kWeights] = packed_bytes(file, config, kernels);
    parts[MemoryPart::kPacking] = shape.threads * piece_bytes(file, kernels, stacks);
  }
  parts[MemoryPart::kKvCache] = shape.sequences * round_up(shape.tokens, kKeyStep) *
                                KvCache::token_bytes(config, count_wide_key_heads(file, config), shape.cache);
  parts[MemoryPart::kActivations] = activation_bytes(config, kernels, stacks, shape);
  parts[MemoryPart::kLogits] = uint64_t{shape.logits_rows} * config.vocabulary * sizeof(float);
  parts[MemoryPart::kOther] = small_bytes(file, config, shape);
  return estimate;
}

uint64_t packed_bytes(const gguf::Reader& file, const ModelConfig& config, const KernelTable& kernels) {
  uint64_t bytes = 0;
  if (is_packed(file.metadata())) return bytes;
  for (const PlannedStack& stack : planned_stacks(file, config)) {
    const auto is_there = [&](const StackPart& part) {
      const gguf::TensorInfo* tensor = file.find_tensor(part.tensor);
      return tensor != nullptr && tensor->shape == std::vector<uint64_t>{stack.plan.cols, part.rows};
    };
    if (!std::all_of(stack.plan.parts.begin(), stack.plan.parts.end(), is_there)) continue;
    const LinearKernels& linear = *kernels.linear[stack.format];
    bytes += ceil_div(stack.plan.rows(), linear.tile_rows) * linear.tile_bytes(stack.plan.cols);
  }
  return bytes;
}

}  // namespace stonechat
