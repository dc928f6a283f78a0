// What a profile counts, against the shapes of a small model.
#include "model/profile.h"

#include <gtest/gtest.h>

#include "kernels/dispatch.h"
#include "model/executor.h"
#include "model/test_model.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

class ProfileTest : public testing::Test {
 protected:
  ProfileTest() { model_.make(3); }

  Weights load(gguf::TensorType type) {
    const std::string path = directory_.file("model.gguf");
    model_.write(path, type, model_.metadata());
    return Weights::load(gguf::Reader(path), kernels(), pool_, {});
  }

  // Multiply-adds of one token in one layer.
  double qkv_macs() const { return model_.width * (model_.heads + 2.0 * model_.kv_heads) * model_.head_dim; }
  double out_macs() const { return double{1} * model_.width * model_.heads * model_.head_dim; }
  double mlp_macs() const { return double{1} * model_.width * model_.mlp_width; }

  const TemporaryDirectory directory_;
  ThreadPool pool_{2};
  TestModel model_;
};

TEST_F(ProfileTest, CostsFollowTheShapes) {
  for (const auto type : {gguf::TensorType::kQ8_0, gguf::TensorType::kF16}) {
    const Weights weights = load(type);
    const Cost cost = layers_cost(weights, 7);
    const double expected = 7.0 * model_.layers * (qkv_macs() + out_macs() + 3 * mlp_macs());
    EXPECT_EQ(cost.integer_macs, type == gguf::TensorType::kQ8_0 ? expected : 0);
    EXPECT_EQ(cost.float_macs, type == gguf::TensorType::kQ8_0 ? 0 : expected);
    EXPECT_EQ(cost.weight_macs(), expected);
    EXPECT_EQ(cost.attention_macs, 0);
    EXPECT_EQ(cost.bytes, static_cast<double>(weights.packed_bytes - weights.embedding.bytes()));
  }
}

TEST_F(ProfileTest, AttentionSeesAllKeysUpToItsOwn) {
  const Weights weights = load(gguf::TensorType::kQ8_0);
  for (const auto& [position, tokens] : {std::pair{0U, 1U}, {0U, 5U}, {10U, 1U}, {100U, 33U}}) {
    double visible = 0;
    for (uint32_t token = 0; token < tokens; ++token) visible += position + token + 1;
    const auto bytes = [&](CacheFormats formats) {
      const Cost cost = attention_cost(weights.config, formats, position, tokens);
      EXPECT_EQ(cost.attention_macs, visible * model_.heads * model_.head_dim * 2);
      EXPECT_EQ(cost.weight_macs(), 0);
      return cost.bytes;
    };
    const double heads = (position + tokens) * model_.kv_heads;
    EXPECT_EQ(bytes({kCacheF16, kCacheF16}), heads * model_.head_dim * (2.0 + 2));
    EXPECT_EQ(bytes({kCacheF32, kCacheF16}), heads * model_.head_dim * (4.0 + 2));
    EXPECT_EQ(bytes({kCacheQ16, kCacheQ16}), heads * 2 * (model_.head_dim * 2 + 4.0));
    EXPECT_EQ(bytes({kCacheQ8, kCacheQ8}), heads * 2 * (model_.head_dim + 4.0));
  }
}

TEST_F(ProfileTest, CountsTheStepsOfAForwardPass) {
  const Weights weights = load(gguf::TensorType::kQ8_0);
  Executor executor(weights, kernels(), pool_, Tuning{.batch = 4});
  KvCache cache(weights, 100);
  const std::vector<int32_t> tokens = {1, 2, 3, 4, 5, 6};
  executor.forward(cache, tokens);  // not recorded

  Profile profile(pool_);
  executor.set_profile(&profile);
  const auto start = std::chrono::steady_clock::now();
  executor.forward(cache, tokens);  // two batches: 4 and 2 tokens
  executor.last_logits();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  EXPECT_EQ(profile[Step::kEmbedding].calls, 2U);
  EXPECT_EQ(profile[Step::kHead].calls, 1U);
  EXPECT_EQ(profile[Step::kHead].cost.integer_macs, double{1} * model_.width * model_.vocabulary);
  double sum = 0;
  for (size_t i = 0; i < kSteps; ++i) {
    const auto step = static_cast<Step>(i);
    if (step != Step::kEmbedding && step != Step::kHead && step != Step::kNorm) {
      EXPECT_EQ(profile[step].calls, 2U * model_.layers) << name(step);
    }
    EXPECT_GT(profile[step].cost.bytes, 0) << name(step);
    EXPECT_GT(profile[step].seconds, 0) << name(step);
    EXPECT_GE(profile[step].waiting_seconds, 0) << name(step);
    EXPECT_LE(profile[step].waiting_seconds, profile[step].seconds) << name(step);
    sum += profile[step].seconds;
  }
  EXPECT_LE(sum, seconds);
  const double layer_tokens = 6.0 * model_.layers;
  EXPECT_EQ(profile[Step::kQkv].cost.integer_macs, layer_tokens * qkv_macs());
  EXPECT_EQ(profile[Step::kAttentionOut].cost.integer_macs, layer_tokens * out_macs());
  EXPECT_EQ(profile[Step::kGateUp].cost.integer_macs, layer_tokens * 2 * mlp_macs());
  EXPECT_EQ(profile[Step::kDown].cost.integer_macs, layer_tokens * mlp_macs());
  const double visible = 7 + 8 + 9 + 10 + 11 + 12;
  EXPECT_EQ(profile[Step::kAttention].cost.attention_macs,
            visible * model_.layers * model_.heads * model_.head_dim * 2);
  // The weights are read once a batch.
  EXPECT_EQ(profile[Step::kDown].cost.bytes,
            2.0 * static_cast<double>(weights.layers[0].down.bytes() + weights.layers[1].down.bytes()));

  profile.clear();
  EXPECT_EQ(profile[Step::kDown].calls, 0U);
  executor.set_profile(nullptr);
  executor.forward(cache, tokens);
  EXPECT_EQ(profile[Step::kDown].calls, 0U);
}

TEST_F(ProfileTest, ThePoolIsWatchedOnlyAsLongAsAProfileLives) {
  EXPECT_EQ(pool_.clock(), nullptr);
  {
    const Profile profile(pool_);
    EXPECT_NE(pool_.clock(), nullptr);
  }
  EXPECT_EQ(pool_.clock(), nullptr);
}

}  // namespace
}  // namespace stonechat
