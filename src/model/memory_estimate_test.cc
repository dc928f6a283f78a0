// What is predicted from a file's header against what loading and running it takes.
#include "model/memory_estimate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/checked.h"
#include "kernels/dispatch.h"
#include "model/executor.h"
#include "model/packed_file.h"
#include "model/rope.h"
#include "model/test_model.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

TestModel model_of(bool separate_head, float bias) {
  TestModel model;
  model.separate_head = separate_head;
  model.make(1);
  // Rotates fast, so that the head's keys can't be cached in 8 bits where this is large.
  model.values.at("blk.1.attn_k.bias")[0] = bias;
  return model;
}

// The run of a shape, in one call, beside its estimate.
void compare(const std::string& path, const RunShape& shape) {
  const gguf::Reader file(path);
  const ModelConfig config = ModelConfig::from(file);
  const MemoryEstimate estimate = estimate_memory(file, config, kernels(), shape);
  ThreadPool pool(shape.threads);
  const Weights weights = Weights::load(file, kernels(), pool, {});
  if (is_packed(file.metadata())) {
    EXPECT_EQ(estimate.parts[MemoryPart::kWeights], std::filesystem::file_size(path));
    EXPECT_EQ(estimate.parts[MemoryPart::kPacking], 0U);
  } else {
    EXPECT_EQ(estimate.parts[MemoryPart::kWeights], weights.packed_bytes);
    EXPECT_GT(estimate.parts[MemoryPart::kPacking], 0U);
  }
  Executor executor(weights, kernels(), pool, shape.tuning);
  std::vector<KvCache> caches;
  std::vector<std::vector<int32_t>> tokens;
  for (uint32_t i = 0; i < shape.sequences; ++i) {
    caches.emplace_back(weights, shape.tokens, shape.cache);
    tokens.emplace_back(shape.tokens, 3);
  }
  std::vector<SequenceTokens> sequences;
  uint64_t cache_bytes = 0;
  for (uint32_t i = 0; i < shape.sequences; ++i) {
    sequences.push_back(
        {&caches[i], tokens[i], shape.hidden_rows > shape.sequences ? Wanted::kAll : Wanted::kLast});
    cache_bytes += caches[i].bytes();
  }
  executor.forward(sequences);
  executor.logits(0, shape.logits_rows);
  EXPECT_EQ(estimate.parts[MemoryPart::kKvCache], cache_bytes);
  EXPECT_EQ(estimate.parts[MemoryPart::kActivations] + estimate.parts[MemoryPart::kLogits],
            executor.buffer_bytes());
  EXPECT_EQ(estimate.running(), estimate.parts.total() - estimate.parts[MemoryPart::kPacking]);
  EXPECT_GE(estimate.peak(), estimate.running());
}

class MemoryEstimateTest : public testing::TestWithParam<gguf::TensorType> {
 protected:
  std::string path() const { return directory_.file("model.gguf"); }
  TemporaryDirectory directory_;
};

TEST_P(MemoryEstimateTest, IsWhatARunTakes) {
  for (const bool separate_head : {false, true}) {
    for (const float bias : {0.0F, 100.0F}) {
      const TestModel model = model_of(separate_head, bias);
      model.write(path(), GetParam(), model.metadata());
      for (const CacheFormat format : {kCacheF32, kCacheF16, kCacheQ16, kCacheQ8})
        compare(path(), {.tokens = 40, .pass_tokens = 40, .threads = 2, .cache = {format, kCacheF16}});
      compare(path(), {.tokens = 300,
                       .sequences = 3,
                       .pass_tokens = 900,
                       .hidden_rows = 900,
                       .logits_rows = 32,
                       .cache = {kCacheQ8, kCacheQ8},
                       .tuning = {.token_block = 48, .batch = 512}});
    }
  }
}

// Whether a head's keys are cached in 8 bits depends on how fast the dimensions of its bias rotate.
TEST_P(MemoryEstimateTest, KnowsTheRotationOfBiases) {
  TestModel slowed;
  slowed.rope_factors.assign(16, 1000.0F);
  slowed.make(1);
  slowed.values.at("blk.1.attn_k.bias")[0] = 100;
  TestModel adjacent_pairs;
  adjacent_pairs.architecture = "llama";
  adjacent_pairs.make(1);
  for (const char* name : {"blk.0.attn_k.bias", "blk.1.attn_k.bias"})
    std::ranges::fill(adjacent_pairs.values.at(name), 0.0F);
  adjacent_pairs.values.at("blk.1.attn_k.bias")[11] = 100;  // of pair 5, which is fast; pair 11 is slow
  for (const TestModel& model : {slowed, adjacent_pairs}) {
    model.write(path(), GetParam(), model.metadata());
    compare(path(), {.tokens = 40, .pass_tokens = 40, .cache = {kCacheQ8, kCacheQ8}});
  }
}

TEST_P(MemoryEstimateTest, OfAPackedFile) {
  const TestModel model = model_of(true, 0);
  model.write(path(), GetParam(), model.metadata());
  ThreadPool pool(1);
  write_packed(gguf::Reader(path()), kernels(), directory_.file("packed.gguf"), pool, {}, {});
  compare(directory_.file("packed.gguf"), {.tokens = 40, .pass_tokens = 40});
}

INSTANTIATE_TEST_SUITE_P(Types, MemoryEstimateTest,
                         testing::Values(gguf::TensorType::kF32, gguf::TensorType::kF16,
                                         gguf::TensorType::kQ8_0, gguf::TensorType::kQ4_0,
                                         gguf::TensorType::kQ8_R),
                         [](const auto& instance) { return std::string(gguf::name(instance.param)); });

TEST(MemoryEstimate, OfAFileWithoutTensorsCountsNone) {
  const TemporaryDirectory directory;
  TestModel model = model_of(false, 0);
  const gguf::Metadata metadata = model.metadata();
  model.shapes = {{"token_embd.weight", {64, 50}}};
  model.write(directory.file("model.gguf"), gguf::TensorType::kF32, metadata);
  const gguf::Reader file(directory.file("model.gguf"));
  const MemoryEstimate estimate = estimate_memory(file, ModelConfig::from(file), kernels(), {});
  EXPECT_EQ(estimate.parts[MemoryPart::kWeights], round_up(50, 16) * 64 * sizeof(float));
}

TEST(MemoryEstimate, TheSumIsOfTwoModels) {
  MemoryEstimate one;
  one.parts[MemoryPart::kLogits] = 5;
  MemoryEstimate other;
  other.parts[MemoryPart::kLogits] = 7;
  other.parts[MemoryPart::kPacking] = 20;
  EXPECT_EQ((one + other).parts[MemoryPart::kLogits], 12U);
  EXPECT_EQ((one + other).running(), 12U);
  EXPECT_EQ((one + other).peak(), 20U);
}

}  // namespace
}  // namespace stonechat
