// The cache: what each format keeps, and that keys with large biases survive 8 bits.
#include "model/kv_cache.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "base/half.h"
#include "kernels/dispatch.h"
#include "model/executor.h"
#include "model/test_model.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

constexpr CacheFormat kFormats[] = {kCacheF32, kCacheF16, kCacheQ16, kCacheQ8};

class KvCacheTest : public testing::Test {
 protected:
  Weights load(const TestModel& model) {
    const std::string path = directory_.file("model.gguf");
    model.write(path, gguf::TensorType::kF32, model.metadata());
    const gguf::Reader file(path);
    return Weights::load(file, kernels(), pool_, {});
  }

  std::vector<float> last_logits(const Weights& weights, CacheFormats formats, uint32_t tokens) {
    Executor executor(weights, kernels(), pool_);
    KvCache cache(weights, tokens, formats);
    std::vector<int32_t> ids(tokens);
    for (uint32_t i = 0; i < tokens; ++i) ids[i] = static_cast<int32_t>(i * 7 % weights.config.vocabulary);
    executor.forward(cache, ids);
    const std::span<const float> logits = executor.last_logits();
    return {logits.begin(), logits.end()};
  }

  // Largest difference of logits, in units of the largest logit.
  double worst(const std::vector<float>& a, const std::vector<float>& b) {
    double difference = 0;
    double largest = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      difference = std::max(difference, std::fabs(double{a[i]} - b[i]));
      largest = std::max(largest, std::fabs(double{b[i]}));
    }
    return difference / largest;
  }

  // Key `j`'s or value `j`'s dimension `d`, by the layout that AttentionJob states.
  static float key_at(const CachedHead& head, uint32_t head_dim, uint32_t j, uint32_t d) {
    if (has_codes(head.format)) {
      const uint32_t run = head.format == kCacheQ8 ? 4 : 2;
      const size_t index = (size_t{j / 32} * head_dim + d / run * run) * 32 + j % 32 * run + d % run;
      return code_at(head, index) * head.scales[j];
    }
    return float_at(head, (size_t{j / 32} * head_dim + d) * 32 + j % 32);
  }
  static float value_at(const CachedHead& head, uint32_t head_dim, uint32_t j, uint32_t d) {
    if (has_codes(head.format)) {
      const uint32_t run = head.format == kCacheQ8 ? 4 : 2;
      return code_at(head, (size_t{j / run} * head_dim + d) * run + j % run) * head.scales[j];
    }
    return float_at(head, size_t{j} * head_dim + d);
  }
  static float code_at(const CachedHead& head, size_t index) {
    return head.format == kCacheQ8 ? static_cast<const int8_t*>(head.data)[index]
                                   : static_cast<const int16_t*>(head.data)[index];
  }
  static float float_at(const CachedHead& head, size_t index) {
    return head.format == kCacheF32 ? static_cast<const float*>(head.data)[index]
                                    : half_to_float(static_cast<const uint16_t*>(head.data)[index]);
  }

  TemporaryDirectory directory_;
  ThreadPool pool_{2};
};

TEST_F(KvCacheTest, KeepsWhatTheFormatCan) {
  TestModel model;
  model.make(3);
  const Weights weights = load(model);
  const ModelConfig& config = weights.config;
  std::mt19937 engine(4);
  std::normal_distribution<float> normal;
  for (const CacheFormat keys : kFormats) {
    for (const CacheFormat values : kFormats) {
      KvCache cache(weights, 70, {keys, values});
      std::vector<std::vector<float>> stored;
      for (uint32_t position = 0; position < 70; ++position) {
        std::vector<float> row(2 * config.kv_width());
        for (float& x : row) x = position == 5 ? 0.0F : normal(engine);
        cache.store(*kernels().vector, 1, position, row.data(), row.data() + config.kv_width());
        stored.push_back(row);
      }
      // Half a step: exact, 2^-11 of the number, 1/254 of the head's largest; of 16 bits 1/65024 of the norm
      // of keys, which is at most 8 times the largest, and 1/65024 of the largest of values (and roundings).
      const auto tolerance = [](CacheFormat format, float value, float largest, float steps) {
        if (format == kCacheF32) return 0.0F;
        if (format == kCacheQ16) return largest / steps;
        // The smallest step of binary16 is 2^-24.
        return format == kCacheF16 ? std::max(std::fabs(value) * 0x1p-11F, 0x1p-25F) : largest / 253;
      };
      for (uint32_t position = 0; position < 70; ++position) {
        for (uint32_t head = 0; head < config.kv_heads; ++head) {
          const float* key = stored[position].data() + size_t{head} * config.head_dim;
          const float* value = key + config.kv_width();
          const auto largest = [&](const float* x) {
            return std::fabs(*std::max_element(x, x + config.head_dim,
                                               [](float a, float b) { return std::fabs(a) < std::fabs(b); }));
          };
          for (uint32_t d = 0; d < config.head_dim; ++d) {
            ASSERT_NEAR(key_at(cache.keys(1, head), config.head_dim, position, d), key[d],
                        tolerance(keys, key[d], largest(key), 65024 / 8.0F));
            ASSERT_NEAR(value_at(cache.values(1, head), config.head_dim, position, d), value[d],
                        tolerance(values, value[d], largest(value), 64900));
          }
        }
      }
    }
  }
}

TEST_F(KvCacheTest, TakesTheBytesItTells) {
  TestModel model;
  model.bias = false;
  model.make(3);
  const Weights weights = load(model);
  const auto bytes = [&](CacheFormats formats) { return KvCache(weights, 64, formats).bytes(); };
  const uint64_t heads = uint64_t{64} * model.layers * model.kv_heads;
  EXPECT_EQ(bytes({kCacheF32, kCacheF32}), heads * model.head_dim * 8);
  EXPECT_EQ(bytes({kCacheF16, kCacheF16}), heads * model.head_dim * 4);
  EXPECT_EQ(bytes({kCacheQ8, kCacheQ8}), heads * 2 * (model.head_dim + 4));
  EXPECT_EQ(bytes({kCacheQ16, kCacheQ16}), heads * 2 * (2 * model.head_dim + 4));
  for (const CacheFormats formats : {CacheFormats{kCacheF16, kCacheQ8}, {kCacheQ8, kCacheF32}})
    EXPECT_EQ(bytes(formats), 64 * KvCache::token_bytes(weights.config, 0, formats));
}

// Biases as Qwen2.5-0.5B has them: large where the rotation is slow, at 300 positions, more than share a
// shift. The scores of a query differ by what keys say besides, some thousandth of the bias.
TEST_F(KvCacheTest, KeysWithLargeSlowBiasesSurviveCodes) {
  TestModel model;
  model.make(6);
  const Weights plain = load(model);
  const double plain_error =
      worst(last_logits(plain, {kCacheQ8, kCacheQ8}, 300), last_logits(plain, {kCacheF32, kCacheF32}, 300));
  EXPECT_LT(plain_error, 0.02);
  for (uint32_t layer = 0; layer < model.layers; ++layer) {
    std::vector<float>& bias = model.values["blk." + std::to_string(layer) + ".attn_k.bias"];
    for (uint32_t head = 0; head < model.kv_heads; ++head) {
      for (const uint32_t d : {14U, 15U, 31U}) bias[head * model.head_dim + d] = d == 15 ? 200.0F : -150.0F;
    }
  }
  const Weights weights = load(model);
  EXPECT_EQ(weights.wide_key_heads, plain.wide_key_heads);
  const std::vector<float> exact = last_logits(weights, {kCacheF32, kCacheF32}, 300);
  EXPECT_LT(worst(last_logits(weights, {kCacheQ8, kCacheQ8}, 300), exact), 2 * plain_error);
  EXPECT_LT(worst(last_logits(weights, {kCacheF16, kCacheF16}, 300), exact), 1e-3);
  EXPECT_LT(worst(last_logits(weights, {kCacheQ16, kCacheQ16}, 300), exact), 1e-3);
}

TEST_F(KvCacheTest, KeysWithLargeFastBiasesStayBinary16) {
  TestModel model;
  model.make(6);
  for (auto& [name, values] : model.values) {
    if (name.ends_with("attn_k.bias")) std::fill(values.begin(), values.end(), 1.0F);
  }
  model.values["blk.1.attn_k.bias"][model.head_dim + 2] = 60;  // head 1, 0.3 radians a position
  const Weights weights = load(model);
  EXPECT_EQ(weights.wide_key_heads, (std::vector<bool>{false, false, false, true}));
  const KvCache cache(weights, kKeyStep, {kCacheQ8, kCacheQ8});
  EXPECT_EQ(cache.keys(1, 0).format, kCacheQ8);
  EXPECT_EQ(cache.keys(1, 1).format, kCacheF16);
  EXPECT_EQ(cache.values(1, 1).format, kCacheQ8);
  EXPECT_EQ(cache.bytes(), kKeyStep * KvCache::token_bytes(weights.config, 1, {kCacheQ8, kCacheQ8}));
  EXPECT_LT(worst(last_logits(weights, {kCacheQ8, kCacheQ8}, 100),
                  last_logits(weights, {kCacheF32, kCacheF32}, 100)),
            0.02);
}

TEST_F(KvCacheTest, NamesAreReadBack) {
  for (const CacheFormat format : kFormats) EXPECT_EQ(cache_format_from_name(name(format)), format);
  EXPECT_EQ(cache_format_from_name("q4_0"), std::nullopt);
}

}  // namespace
}  // namespace stonechat
