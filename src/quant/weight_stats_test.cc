// Moments and errors against plain loops, and against values whose errors are known.
#include "quant/weight_stats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/error.h"
#include "gguf/writer.h"
#include "quant/encode.h"
#include "quant/schemes.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

class WeightStatsTest : public testing::Test {
 protected:
  WeightStats stats_of(const std::vector<float>& values, uint64_t cols, uint32_t threads = 2) {
    const std::string path = directory_.file("weights.gguf");
    gguf::Writer writer(
        path, gguf::Metadata(),
        {{"w", gguf::TensorType::kF32, {cols, values.size() / cols}}, {"norm", gguf::TensorType::kF32, {1}}});
    writer.write_tensor_data(std::as_bytes(std::span(values)));
    writer.write_tensor_data(std::as_bytes(std::span(values).first(1)));
    writer.finish();
    ThreadPool pool(threads);
    const auto all = weight_stats(gguf::Reader(path), pool, {}, {});
    EXPECT_EQ(all.size(), 1U);
    return all[0];
  }
  static double error(const WeightStats& stats, std::string_view scheme) {
    for (size_t i = 0; i < schemes().size(); ++i) {
      if (schemes()[i].name == scheme) return stats.errors[i];
    }
    ADD_FAILURE() << "no scheme " << scheme;
    return 0;
  }

  const TemporaryDirectory directory_;
};

std::vector<float> normal_values(size_t count) {
  std::mt19937 engine(8);
  std::normal_distribution<float> normal(0.01F, 0.02F);
  std::vector<float> values(count);
  for (float& value : values) value = normal(engine);
  return values;
}

TEST_F(WeightStatsTest, MomentsOfNormalValues) {
  // More than one piece of the stream.
  const auto values = normal_values(640 * 2000);
  const WeightStats stats = stats_of(values, 640);
  EXPECT_EQ(stats.name, "w");
  EXPECT_EQ(stats.rows, 2000U);
  EXPECT_EQ(stats.cols, 640U);
  EXPECT_EQ(stats.moments.minimum, *std::min_element(values.begin(), values.end()));
  EXPECT_EQ(stats.moments.maximum, *std::max_element(values.begin(), values.end()));
  // Five standard errors of a mean, a deviation and a kurtosis of 1.28 M values.
  EXPECT_NEAR(stats.moments.mean, 0.01, 5 * 0.02 / 1131);
  EXPECT_NEAR(stats.moments.deviation, 0.02, 5 * 0.02 / 1600);
  EXPECT_NEAR(stats.kurtosis, 3, 5 * std::sqrt(24.0) / 1131);
}

// Rounding to steps loses step^2 / 12 on average.
TEST_F(WeightStatsTest, ErrorsAreThoseOfUniformRounding) {
  const auto values = normal_values(640 * 200);
  const WeightStats stats = stats_of(values, 640);
  double squares = 0, row_steps = 0, block_steps = 0;
  const auto largest = [&](size_t begin, size_t count) {
    float result = 0;
    for (size_t i = begin; i < begin + count; ++i) result = std::max(result, std::fabs(values[i]));
    return double{result};
  };
  for (const float value : values) squares += double{value} * value;
  for (size_t i = 0; i < values.size(); i += 640) row_steps += 640 * std::pow(largest(i, 640) / 127, 2) / 12;
  for (size_t i = 0; i < values.size(); i += 32) block_steps += 32 * std::pow(largest(i, 32) / 127, 2) / 12;
  const double tensor_steps =
      static_cast<double>(values.size()) * std::pow(largest(0, values.size()) / 127, 2) / 12;
  EXPECT_NEAR(error(stats, "q8_t"), std::sqrt(tensor_steps / squares), 0.01 * error(stats, "q8_t"));
  EXPECT_NEAR(error(stats, "q8_r"), std::sqrt(row_steps / squares), 0.01 * error(stats, "q8_r"));
  EXPECT_NEAR(error(stats, "q8_0"), std::sqrt(block_steps / squares), 0.02 * error(stats, "q8_0"));
  EXPECT_GT(error(stats, "q4_0"), 10 * error(stats, "q8_0"));
  // Codes are clipped at one deviation: for a normal distribution E((|z| - 1)^2 for |z| > 1) = 0.1506.
  const double expected = std::sqrt(0.1506 * 0.02 * 0.02 / (0.02 * 0.02 + 0.01 * 0.01));
  EXPECT_NEAR(error(stats, "q8_m"), expected, 0.02 * expected);
}

TEST_F(WeightStatsTest, WhatASchemeHoldsHasNoError) {
  std::vector<float> values;
  for (int i = 0; i < 64; ++i) values.push_back(static_cast<float>(i * 4 - 127));
  values[63] = 127;
  const WeightStats stats = stats_of(values, 32);
  EXPECT_EQ(error(stats, "q8_t"), 0);
  const WeightStats zeros = stats_of(std::vector<float>(64, 0.0F), 32);
  for (const double one : zeros.errors) EXPECT_EQ(one, 0);
  EXPECT_EQ(zeros.kurtosis, 0);
}

TEST_F(WeightStatsTest, ColumnsThatNoSchemeHolds) {
  const WeightStats stats = stats_of(normal_values(40 * 3), 40);
  for (const Scheme& scheme : schemes()) EXPECT_EQ(error(stats, scheme.name), -1);
  EXPECT_GT(stats.moments.deviation, 0);
}

TEST_F(WeightStatsTest, WeightsThatASchemeCannotHold) {
  auto values = normal_values(64);
  values[40] = -65520.0F * 8;  // a scale that binary16 can't hold
  const WeightStats stats = stats_of(values, 32);
  EXPECT_EQ(error(stats, "q4_0"), -1);
  EXPECT_LT(error(stats, "q8_0"), 0.01);
  EXPECT_GT(error(stats, "q8_0"), 0);
  values[40] = std::nextafter(values[40], 0.0F);
  EXPECT_LT(error(stats_of(values, 32), "q4_0"), 0.1);
}

TEST_F(WeightStatsTest, ThreadsChangeNothing) {
  const auto values = normal_values(96 * 3000);
  const WeightStats expected = stats_of(values, 96, 1);
  for (const uint32_t threads : {2, 3}) {
    const WeightStats stats = stats_of(values, 96, threads);
    EXPECT_EQ(stats.moments.mean, expected.moments.mean);
    EXPECT_EQ(stats.moments.deviation, expected.moments.deviation);
    EXPECT_EQ(stats.kurtosis, expected.kurtosis);
    EXPECT_EQ(stats.errors, expected.errors);
  }
}

TEST_F(WeightStatsTest, RefusesWhatIsNotFinite) {
  auto values = normal_values(64);
  values[40] = NAN;
  try {
    stats_of(values, 32);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
    EXPECT_THAT(error.what(), testing::HasSubstr("tensor w: expected finite values"));
  }
}

}  // namespace
}  // namespace stonechat
