// Softmax, exp() and norm at the edges of what floats hold, in every table, against long double.
#include <cfloat>
#include <cmath>
#include <functional>
#include <span>

#include "kernels/test_support.h"

namespace stonechat {
namespace {

constexpr uint32_t kHeadDim = 32;

class NumericCareTest : public testing::TestWithParam<std::string> {
 protected:
  // Softmax of these scores over FP32 values, by one query (1, 0, 0, ...) and keys (score, 0, 0, ...):
  // dimension 0 of the values is 1, the others are random. The last `masked` positions aren't visible.
  struct Result {
    std::vector<float> out;
    std::vector<long double> expected;
    long double largest_gap = 0;  // between a score and the largest
  };
  Result softmax(std::span<const float> scores, uint32_t masked = 0) {
    Random random(41);
    const auto visible = static_cast<uint32_t>(scores.size()) - masked;
    const size_t padded = (scores.size() + 31) / 32 * 32;
    std::vector<float> keys(padded * kHeadDim), values(padded * kHeadDim);
    for (size_t j = 0; j < scores.size(); ++j) {
      keys[j / 32 * 32 * kHeadDim + j % 32] = scores[j];
      for (uint32_t d = 0; d < kHeadDim; ++d)
        values[j * kHeadDim + d] = d == 0 ? 1.0F : random.uniform(-1.0F, 1.0F);
    }
    std::vector<float> query(kHeadDim);
    query[0] = 1;
    Result result;
    result.out.resize(kHeadDim);
    AlignedBuffer scratch(table_.attention->scratch_bytes(kHeadDim));
    const AttentionJob job = {.queries = query.data(),
                              .query_stride = kHeadDim,
                              .group_heads = 1,
                              .head_dim = kHeadDim,
                              .first_token = 0,
                              .end_token = 1,
                              .first_position = visible - 1,
                              .keys = {kCacheF32, keys.data(), nullptr},
                              .values = {kCacheF32, values.data(), nullptr},
                              .shifts = nullptr,
                              .scale = 1,
                              .out = result.out.data(),
                              .out_stride = kHeadDim,
                              .scratch = scratch.as<float>()};
    call_cleanly(table_.attention->attend, &job);

    const float largest = *std::max_element(scores.begin(), scores.begin() + visible);
    long double total = 0;
    std::vector<long double> sums(kHeadDim);
    for (uint32_t j = 0; j < visible; ++j) {
      const long double weight = std::exp(static_cast<long double>(scores[j]) - largest);
      total += weight;
      for (uint32_t d = 0; d < kHeadDim; ++d) sums[d] += weight * values[j * kHeadDim + d];
      result.largest_gap = std::max(result.largest_gap, static_cast<long double>(largest) - scores[j]);
    }
    for (const long double sum : sums) result.expected.push_back(sum / total);
    return result;
  }

  // Weights are off by 2 ulp of exp() and by the rounding of the difference of two scores (what is further
  // apart than 86.6 weighs nothing); 32 of them are summed in a tile, then the tiles.
  void expect_softmax(std::span<const float> scores, uint32_t masked = 0) {
    const Result result = softmax(scores, masked);
    const long double gap = std::min(result.largest_gap, 87.0L);
    const double terms = 32 + static_cast<double>(scores.size()) / 32;
    const double tolerance = (4 + static_cast<double>(gap) + 2 * terms) * 0x1p-24;
    EXPECT_NEAR(result.out[0], 1.0, 1e-6) << "the sum of weights";
    for (uint32_t d = 0; d < kHeadDim; ++d) {
      ASSERT_TRUE(std::isfinite(result.out[d]));
      EXPECT_NEAR(result.out[d], static_cast<double>(result.expected[d]), tolerance) << "dimension " << d;
    }
  }

  const KernelTable table_ = kernels_up_to(GetParam());
};

TEST_P(NumericCareTest, ScoresOfAnySize) {
  Random random(42);
  for (const float magnitude : {1e-40F, 1e-3F, 1.0F, 20.0F, 1e4F, 1e30F}) {
    SCOPED_TRACE(testing::Message() << "scores up to " << magnitude);
    for (const size_t keys : {1U, 2U, 31U, 33U, 300U}) expect_softmax(random.floats(keys, magnitude));
  }
}

TEST_P(NumericCareTest, EqualScores) {
  for (const float score : {-1e4F, -1.0F, 0.0F, FLT_TRUE_MIN, 1.0F, 1e4F})
    expect_softmax(std::vector<float>(100, score));
}

TEST_P(NumericCareTest, AllMaskedButOne) {
  std::vector<float> scores(64, 1e4F);
  scores[0] = -1e4F;
  expect_softmax(scores, 63);
}

TEST_P(NumericCareTest, OneAboveAllOthers) {
  for (const size_t where : {0U, 31U, 32U, 99U}) {
    std::vector<float> scores(100, -1e4F);
    scores[where] = 1e4F;
    expect_softmax(scores);
  }
}

TEST_P(NumericCareTest, ManyPositions) {
  Random random(43);
  for (const float magnitude : {0.0F, 1.0F, 8.0F}) expect_softmax(random.floats(32768, magnitude));
}

// Of softmax's exp(-x), by two keys whose scores are 0 and -x, with values 0 and 1: out = e / (1 + e).
TEST_P(NumericCareTest, WeightsAreWithinTwoUlpOfRoundedScores) {
  std::vector<float> keys(32 * kHeadDim), values(32 * kHeadDim);
  values[kHeadDim] = 1;
  std::vector<float> query(kHeadDim), out(kHeadDim);
  query[0] = 1;
  AlignedBuffer scratch(table_.attention->scratch_bytes(kHeadDim));
  const AttentionJob job = {.queries = query.data(),
                            .query_stride = kHeadDim,
                            .group_heads = 1,
                            .head_dim = kHeadDim,
                            .first_token = 0,
                            .end_token = 1,
                            .first_position = 1,
                            .keys = {kCacheF32, keys.data(), nullptr},
                            .values = {kCacheF32, values.data(), nullptr},
                            .shifts = nullptr,
                            .scale = 1,
                            .out = out.data(),
                            .out_stride = kHeadDim,
                            .scratch = scratch.as<float>()};
  const auto share_of = [&](float x) {
    keys[1] = -x;
    call_cleanly(table_.attention->attend, &job);
    return out[0];
  };
  double worst = 0;
  for (float x = 0; x <= 86.6F; x += 0.00390625F + x * 1e-4F) {
    const double exact = std::exp(-double{x});
    const double expected = exact / (1 + exact);
    // In units of the last place of exp(-x), less the roundings of the sum and the quotient, and of the score
    // -x * log2(e), a float like any other score, whose error is relative in its power.
    const double ulp = std::ldexp(1.0, std::max(-126, std::ilogb(exact)) - 23);
    const double others = expected * (0x1p-23 + x * (0x1p-24 + 0x1p-26));
    worst = std::max(worst, (std::fabs(share_of(x) - expected) - others) * (1 + exact) / ulp);
  }
  EXPECT_LE(worst, 2.0);
  // Below 2^-125 a weight is nothing.
  EXPECT_EQ(share_of(87.5F), 0.0F);
}

// exp(x) of large x is in silu(-x) = -x / (1 + exp(x)).
TEST_P(NumericCareTest, SiluOfAnyGate) {
  std::vector<float> gate_up(64), out(32);
  std::fill(gate_up.begin() + 32, gate_up.end(), 1.0F);
  const auto silu = [&](float x) {
    gate_up[0] = x;
    call_cleanly(table_.vector->silu_multiply, gate_up.data(), 32, out.data());
    return out[0];
  };
  for (float x = -87; x <= 87; x += 0.0625F) {
    const double exact = double{x} / (1 + std::exp(-double{x}));
    EXPECT_NEAR(silu(x), exact, std::fabs(exact) * 8 * 0x1p-24) << x;
  }
  for (const float x : {1e4F, 1e30F, FLT_MAX}) {
    EXPECT_EQ(silu(x), x);
    EXPECT_LE(std::fabs(silu(-x)), x * 1e-37F);  // exp() is held at e^88
  }
  EXPECT_EQ(silu(0), 0.0F);
}

TEST_P(NumericCareTest, NormOfAnySize) {
  Random random(44);
  constexpr uint32_t kCols = 896;
  const std::vector<float> weight(kCols, 1.0F);
  std::vector<float> out(kCols);
  for (const float magnitude : {0.0F, 1e-40F, 1e-30F, 1e-10F, 1.0F, 1e15F, 1e19F, 1e30F, FLT_MAX}) {
    SCOPED_TRACE(testing::Message() << "numbers up to " << magnitude);
    const std::vector<float> x = random.floats(kCols, 1.0F);
    std::vector<float> scaled(kCols);
    long double squares = 0;
    for (uint32_t i = 0; i < kCols; ++i) {
      scaled[i] = x[i] * magnitude;
      squares += static_cast<long double>(scaled[i]) * scaled[i];
    }
    call_cleanly(table_.vector->rms_norm, scaled.data(), weight.data(), 1e-6F, kCols, out.data());
    const long double root = std::sqrt(squares / kCols + 1e-6L);
    for (uint32_t i = 0; i < kCols; ++i) {
      const auto expected = static_cast<double>(scaled[i] / root);
      // Sum, division, root and products: 64 roundings at most. Numbers too small for a float become 0.
      ASSERT_NEAR(out[i], expected, std::fabs(expected) * 64 * 0x1p-24 + double{FLT_MIN}) << "element " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, NumericCareTest, testing::ValuesIn(supported_tables()), table_test_name);

}  // namespace
}  // namespace stonechat
