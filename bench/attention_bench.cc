// Attention of the 7 query heads that share a key/value head in Qwen2.5-0.5B: 18 tokens of a prompt, which an
// executor gives to a thread at once, and one token, at several depths. A cache of all layers is walked
// through, as in a model.
#include <utility>

#include "base/aligned_buffer.h"
#include "base/checked.h"
#include "bench/inputs.h"
#include "bench/support.h"

namespace stonechat {
namespace {

constexpr uint32_t kHeadDim = 64;
constexpr uint32_t kGroupHeads = 7;
constexpr uint32_t kCaches = 48;  // 24 layers of 2 key/value heads

void attention(benchmark::State& state, const KernelTable& table, CacheFormat format, uint32_t tokens,
               uint32_t depth) {
  const size_t keys = round_up(depth + tokens, kKeyStep);
  // Keys of a norm of about 5: of much longer ones most weights of softmax would be subnormal numbers.
  const std::vector<float> scales(keys, format == kCacheQ16 ? 0.0003F : 0.01F);
  const std::vector<uint8_t> values = some_cached(format, keys * kHeadDim);
  AlignedBuffer cache(kCaches * 2 * values.size(), MemoryPart::kKvCache, AlignedBuffer::Pages::kSmall);
  for (uint32_t i = 0; i < 2 * kCaches; ++i)
    std::memcpy(cache.data() + i * values.size(), values.data(), values.size());
  const size_t stride = kGroupHeads * kHeadDim;
  const std::vector<float> queries = some_floats(tokens * stride);
  std::vector<float> out(tokens * stride);
  AlignedBuffer scratch(table.attention->scratch_bytes(kHeadDim));
  uint32_t next = 0;
  for (auto _ : state) {
    const std::byte* head = cache.data() + next * 2 * values.size();
    next = (next + 1) % kCaches;
    const AttentionJob job = {.queries = queries.data(),
                              .query_stride = stride,
                              .group_heads = kGroupHeads,
                              .head_dim = kHeadDim,
                              .first_token = 0,
                              .end_token = tokens,
                              .first_position = depth,
                              .keys = {format, head, scales.data()},
                              .values = {format, head + values.size(), scales.data()},
                              .shifts = nullptr,
                              .scale = 0.125F,
                              .out = out.data(),
                              .out_stride = stride,
                              .scratch = scratch.as<float>()};
    table.attention->attend(&job);
  }
  ModelConfig config;
  config.layers = 1;
  config.heads = kGroupHeads;
  config.kv_heads = 1;
  config.head_dim = kHeadDim;
  Cost cost = attention_cost(config, {format, format}, depth, tokens);
  // Floats are multiplied in FP32. How many products of 8 bits codes take differs between tables.
  if (!has_codes(format)) std::swap(cost.float_macs, cost.attention_macs);
  report(state, table, cost);
}

}  // namespace

void register_benchmarks() {
  for (const CacheFormat format : {kCacheF16, kCacheQ16, kCacheQ8}) {
    for (const uint32_t tokens : {1U, 18U}) {
      for (const uint32_t depth : {128U, 1024U, 4096U}) {
        register_for_tables("attention/" + std::string(name(format)) + "/tokens:" + std::to_string(tokens) +
                                "/depth:" + std::to_string(depth),
                            [=](benchmark::State& state, const KernelTable& table) {
                              attention(state, table, format, tokens, depth);
                            });
      }
    }
  }
}

}  // namespace stonechat
