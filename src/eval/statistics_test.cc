#include "eval/statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "eval/divergence.h"

namespace stonechat {
namespace {

TEST(Statistics, MeanAndErrors) {
  const std::vector<double> values = {2, 4, 4, 4, 5, 5, 7, 9};
  EXPECT_DOUBLE_EQ(estimate(values).mean, 5);
  EXPECT_DOUBLE_EQ(standard_deviation(values), std::sqrt(32.0 / 7));
  EXPECT_DOUBLE_EQ(estimate(values).standard_error, std::sqrt(32.0 / 7 / 8));
  EXPECT_EQ(standard_deviation(std::vector<double>{3}), 0);
}

TEST(Statistics, Percentiles) {
  const std::vector<double> fractions = {0, 0.5, 0.9, 1};
  EXPECT_THAT(percentiles({5, 1, 3, 2, 4}, fractions), testing::ElementsAre(1, 3, testing::DoubleEq(4.6), 5));
}

TEST(Divergence, OfTwoKnownDistributions) {
  // p = (1/2, 1/4, 1/4) against q = (1/4, 1/2, 1/4): KL(p, q) = 1/2 ln 2 - 1/4 ln 2.
  const std::vector<float> p = {std::log(0.5F) + 3, std::log(0.25F) + 3, std::log(0.25F) + 3};
  const std::vector<float> q = {std::log(0.25F), std::log(0.5F), std::log(0.25F)};
  const Divergence result = diverge(q, p, 2);
  EXPECT_NEAR(result.kl, 0.25 * std::log(2.0), 1e-6);
  EXPECT_FALSE(result.same_top);
  EXPECT_NEAR(result.log_probability, std::log(0.25), 1e-6);
  EXPECT_NEAR(result.log_probability_reference, std::log(0.25), 1e-6);
  EXPECT_NEAR(log_probability(q, 1), std::log(0.5), 1e-6);
  EXPECT_NEAR(diverge(p, p, 0).kl, 0, 1e-9);
}

TEST(Divergence, IsNotBelow0) {
  std::mt19937 engine(7);
  std::normal_distribution<float> normal;
  for (int i = 0; i < 50; ++i) {
    std::vector<float> p(1000);
    for (float& logit : p) logit = 4 * normal(engine);
    std::vector<float> q = p;
    for (float& logit : q) logit += 1e-6F * normal(engine);
    EXPECT_GE(diverge(q, p, 0).kl, 0);
  }
  EXPECT_TRUE(std::isnan(diverge(std::vector<float>{1, NAN}, std::vector<float>{1, 2}, 0).kl));
}

TEST(GroupedEstimate, ErrorIsThatOfGroupMeans) {
  const double values[] = {1, 3, 4, 6};  // means 2 and 5: deviation 3 / sqrt(2), error of their mean 1.5
  const Estimate result = grouped_estimate(values, 2);
  EXPECT_DOUBLE_EQ(result.mean, 3.5);
  EXPECT_DOUBLE_EQ(result.standard_error, 1.5);
  EXPECT_DOUBLE_EQ(grouped_estimate(values, 4).standard_error, estimate(values).standard_error);
}

}  // namespace
}  // namespace stonechat
