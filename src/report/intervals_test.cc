#include "report/intervals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace stonechat {
namespace {

// The share of Student's distribution within +-t, by Simpson's rule on its density.
double student_share(double t, double degrees) {
  const double scale =
      std::exp(std::lgamma((degrees + 1) / 2) - std::lgamma(degrees / 2)) / std::sqrt(degrees * M_PI);
  const auto density = [&](double x) { return scale * std::pow(1 + x * x / degrees, -(degrees + 1) / 2); };
  constexpr int kSteps = 20000;
  double sum = density(-t) + density(t);
  for (int i = 1; i < kSteps; ++i) sum += (i % 2 == 1 ? 4 : 2) * density(-t + 2 * t * i / kSteps);
  return sum * 2 * t / kSteps / 3;
}

TEST(Intervals, QuantilesHold95Percent) {
  for (int degrees = 1; degrees <= 200; ++degrees)
    EXPECT_NEAR(student_share(student_quantile(degrees), degrees), 0.95, 1e-5) << degrees;
  EXPECT_EQ(student_quantile(3.9), student_quantile(3));
  EXPECT_NEAR(student_quantile(1e9), 1.959964, 1e-6);
}

TEST(Intervals, OfAnEstimate) {
  const Interval interval = interval_of(Estimate{10, 1});
  EXPECT_NEAR(interval.low, 8.04, 1e-4);
  EXPECT_NEAR(interval.high, 11.96, 1e-4);
  EXPECT_TRUE(interval.holds(8.1));
  EXPECT_FALSE(interval.holds(8));
}

TEST(Intervals, OfFewValuesAreWider) {
  EXPECT_NEAR(interval_of(Estimate{10, 1}, 4).low, 10 - 3.182446, 1e-6);
  EXPECT_NEAR(interval_of(Estimate{10, 1}, 1'000'000).low, 8.04, 1e-4);
  // Equal errors from 3 and 5 values: 1 / (1/4 / 2 + 1/4 / 4) = 5.33 degrees, taken as 5.
  EXPECT_NEAR(welch_difference(Estimate{10, 1}, 3, Estimate{7, 1}, 5).high, 3 + 2.570582 * std::sqrt(2),
              1e-5);
  EXPECT_EQ(welch_difference(Estimate{10, 0}, 2, Estimate{7, 0}, 2).low, 3);
}

TEST(Intervals, PairsCancelWhatRoundsHaveInCommon) {
  // Rounds differ by a factor of 3, each pair by exactly 2.
  const std::vector<double> slow = {10, 30, 20};
  const std::vector<double> fast = {20, 60, 40};
  const Interval paired = *paired_ratio(fast, slow);
  EXPECT_NEAR(paired.value, 2, 1e-12);
  EXPECT_NEAR(paired.low, 2, 1e-12);
  EXPECT_TRUE(welch_ratio(fast, slow)->holds(1));
}

TEST(Intervals, OfPairsByHand) {
  // Ratios e^0.1 and e^0.3: mean 0.2, standard error 0.1, quantile 12.7062.
  const std::vector<double> values = {std::exp(0.1), std::exp(0.3)};
  const Interval interval = *paired_ratio(values, std::vector<double>{1, 1});
  EXPECT_NEAR(std::log(interval.value), 0.2, 1e-12);
  EXPECT_NEAR(std::log(interval.low), 0.2 - 1.27062, 1e-5);
  EXPECT_NEAR(std::log(interval.high), 0.2 + 1.27062, 1e-5);
}

TEST(Intervals, OfWelchByHand) {
  // Logarithms 0, 0.2, 0.4 (error 0.2 / sqrt 3) and 1, 1 (error 0): degrees of freedom are the first's, 2.
  const std::vector<double> values = {1, std::exp(0.2), std::exp(0.4)};
  const std::vector<double> over = {std::exp(1), std::exp(1)};
  const Interval interval = *welch_ratio(values, over);
  EXPECT_NEAR(std::log(interval.value), -0.8, 1e-12);
  EXPECT_NEAR(std::log(interval.high), -0.8 + 4.302653 * 0.2 / std::sqrt(3), 1e-6);
}

TEST(Intervals, OneRoundSaysNothingOfNoise) {
  EXPECT_FALSE(paired_ratio(std::vector<double>{2}, std::vector<double>{1}).has_value());
  EXPECT_FALSE(welch_ratio(std::vector<double>{2, 2}, std::vector<double>{1}).has_value());
}

TEST(Intervals, ErrorsOfADifferenceAdd) {
  const Interval interval = difference(Estimate{5, 0.3}, Estimate{4, 0.4});
  EXPECT_NEAR(interval.value, 1, 1e-12);
  EXPECT_NEAR(interval.low, 1 - 1.959963984540054 * 0.5, 1e-9);
}

}  // namespace
}  // namespace stonechat
