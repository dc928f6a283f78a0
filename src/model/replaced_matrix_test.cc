#include "model/replaced_matrix.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "kernels/dispatch.h"
#include "model/test_model.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

class ReplacedMatricesTest : public testing::Test {
 protected:
  ReplacedMatricesTest() {
    TestModel model;
    model.make(1);
    model.write(path_, gguf::TensorType::kQ8_0, model.metadata());
  }

  static Replacement zeros() {
    return {gguf::TensorType::kF32, [](auto, uint64_t, std::span<std::byte> destination) {
              std::ranges::fill(destination, std::byte{0});
            }};
  }
  static std::vector<std::byte> pack_of(const PackedMatrix& matrix) {
    const auto* pack = matrix.pack().data();
    return {pack, pack + matrix.bytes()};
  }

  const TemporaryDirectory directory_;
  const std::string path_ = directory_.file("model.gguf");
  ThreadPool pool_{1};
};

TEST_F(ReplacedMatricesTest, LastAsLongAsTheObject) {
  const gguf::Reader file(path_);
  Weights weights = Weights::load(file, kernels(), pool_, {});
  const std::vector<std::byte> before = pack_of(weights.embedding);
  {
    const ReplacedMatrices replaced(file, weights, kernels(), pool_, {{"token_embd.weight", zeros()}});
    EXPECT_EQ(weights.embedding.format(), kWeightF32);
  }
  EXPECT_EQ(pack_of(weights.embedding), before);
}

TEST_F(ReplacedMatricesTest, ThatThrowLeaveTheWeightsAsTheyWere) {
  const gguf::Reader file(path_);
  Weights weights = Weights::load(file, kernels(), pool_, {});
  const std::vector<std::byte> before = pack_of(weights.embedding);
  const Replacement broken = {gguf::TensorType::kF32, [](auto, uint64_t, std::span<std::byte>) {
                                fail(ErrorKind::kBadFile, "broken");
                              }};
  EXPECT_THROW(ReplacedMatrices(file, weights, kernels(), pool_,
                                {{"token_embd.weight", zeros()}, {"blk.1.ffn_down.weight", broken}}),
               Error);
  EXPECT_EQ(pack_of(weights.embedding), before);
}

}  // namespace
}  // namespace stonechat
