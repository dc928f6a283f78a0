#include "model/weight_formats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/dispatch.h"
#include "model/memory_estimate.h"
#include "model/test_model.h"
#include "model/weights.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using gguf::TensorType;
using testing::ElementsAre;
using testing::HasSubstr;

WeightFormat common(std::vector<TensorType> types) {
  return common_format(types);
}

TEST(WeightFormats, StacksHaveOneFormat) {
  EXPECT_EQ(common({TensorType::kQ8_0, TensorType::kQ8_0}), kWeightQ8_0);
  EXPECT_EQ(common({TensorType::kQ4_K, TensorType::kQ6_K}), kWeightQ8_0);
  EXPECT_EQ(common({TensorType::kQ4_0, TensorType::kQ4_0}), kWeightQ4_0);
  EXPECT_EQ(common({TensorType::kQ4_0, TensorType::kQ4_1}), kWeightQ8_0);
  EXPECT_EQ(common({TensorType::kQ8_T, TensorType::kQ8_M, TensorType::kQ8_R}), kWeightQ8Row);
  EXPECT_EQ(common({TensorType::kQ8_R, TensorType::kQ8_0}), kWeightF32);
  EXPECT_EQ(common({TensorType::kF16, TensorType::kBF16}), kWeightF32);
}

TEST(WeightFormats, RowsWithAHeaderStayAsTheyAre) {
  for (const TensorType type : {TensorType::kQ8_T, TensorType::kQ8_M, TensorType::kQ8_R})
    EXPECT_TRUE(is_stored_as(type, kWeightQ8Row));
  EXPECT_TRUE(is_stored_as(TensorType::kQ4_0, kWeightQ4_0));
  EXPECT_FALSE(is_stored_as(TensorType::kQ4_0, kWeightQ8_0));
  EXPECT_FALSE(is_stored_as(TensorType::kQ6_K, kWeightQ8_0));
  EXPECT_FALSE(is_stored_as(TensorType::kQ8_R, kWeightF32));
  for (int format = 0; format < kWeightFormats; ++format) {
    const auto one = static_cast<WeightFormat>(format);
    EXPECT_EQ(compute_format(tensor_type(one)), one);
  }
}

// Values of the embedding in one type, of gate in another, of the rest in Q8_R.
TEST(WeightFormats, MixedModelsLoadAndSaySo) {
  TestModel model;
  model.make(9);
  const TemporaryDirectory directory;
  const std::string path = directory.file("mixed.gguf");
  model.write(
      path,
      [](const std::string& name) {
        if (name == "token_embd.weight") return TensorType::kQ4_0;
        return name == "blk.1.ffn_gate.weight" ? TensorType::kQ8_0 : TensorType::kQ8_R;
      },
      model.metadata());
  const gguf::Reader file(path);
  const auto formats = matrix_formats(file, ModelConfig::from(file));
  EXPECT_EQ(formats.at("token_embd.weight"), kWeightQ4_0);
  EXPECT_EQ(formats.at("blk.0.ffn_gate.weight"), kWeightQ8Row);
  EXPECT_EQ(formats.at("blk.1.ffn_gate.weight"), kWeightF32);
  EXPECT_EQ(formats.at("blk.1.ffn_up.weight"), kWeightF32);
  EXPECT_EQ(formats.size(), 1 + 7 * model.layers);

  std::vector<std::string> notices;
  ThreadPool pool(1);
  const Weights weights =
      Weights::load(file, kernels(), pool, [&](const std::string& text) { notices.push_back(text); });
  EXPECT_THAT(notices, ElementsAre(HasSubstr("re-encoded to F32 at load (1 Q8_0, 1 Q8_R)")));
  EXPECT_EQ(weights.layers[1].gate_up.format(), kWeightF32);
  EXPECT_EQ(weights.layers[1].down.format(), kWeightQ8Row);
  // The estimate counts what is held, which is padded to tiles.
  const MemoryEstimate estimate = estimate_memory(file, weights.config, kernels(), {});
  EXPECT_EQ(estimate.parts[MemoryPart::kWeights], weights.packed_bytes);
}

}  // namespace
}  // namespace stonechat
