#include "report/kept_ratio.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace stonechat {
namespace {

// Of each question: both right, only one, or none, with these probabilities.
struct Chances {
  double both, only_variant, only_reference;
};

PairedCounts draw(const Chances& chances, int questions, std::mt19937_64& random) {
  std::uniform_real_distribution<double> uniform;
  PairedCounts counts;
  for (int i = 0; i < questions; ++i) {
    const double at = uniform(random);
    if (at < chances.both) {
      ++counts.both;
    } else if (at < chances.both + chances.only_variant) {
      ++counts.only_variant;
    } else if (at < chances.both + chances.only_variant + chances.only_reference) {
      ++counts.only_reference;
    }
  }
  return counts;
}

TEST(KeptRatio, CountsPairs) {
  const PairedCounts counts =
      paired_counts({true, true, false, false, true}, {true, false, true, false, true});
  EXPECT_EQ(counts.both, 2U);
  EXPECT_EQ(counts.only_variant, 1U);
  EXPECT_EQ(counts.only_reference, 1U);
}

// Bentur's 21 children before and after a transplantation, as Fagerland, Lydersen and Laake calculate it.
TEST(KeptRatio, IsThatOfThePublishedExample) {
  const auto ratio = kept_ratio({1, 1, 7});
  ASSERT_TRUE(ratio);
  EXPECT_DOUBLE_EQ(ratio->value, 0.25);
  EXPECT_NEAR(ratio->low, 0.068, 0.0005);
  EXPECT_NEAR(ratio->high, 0.923, 0.0005);
}

// The truth lies inside in at least 95 % of repetitions: never clearly fewer; more where few answers differ.
TEST(KeptRatio, CoversTheTruth) {
  std::mt19937_64 random(1);
  for (const auto& [chances, questions, most] :
       {std::tuple{Chances{0.33, 0.005, 0.006}, 1172, 0.975}, std::tuple{Chances{0.4, 0.05, 0.03}, 200, 0.98},
        std::tuple{Chances{0.5, 0.1, 0.1}, 1000, 0.965}, std::tuple{Chances{0.3, 0.005, 0.005}, 100, 1.0}}) {
    constexpr int kRepetitions = 2000;
    const double truth = (chances.both + chances.only_variant) / (chances.both + chances.only_reference);
    int inside = 0;
    for (int i = 0; i < kRepetitions; ++i) {
      const auto ratio = kept_ratio(draw(chances, questions, random));
      ASSERT_TRUE(ratio);
      inside += ratio->low <= truth && truth <= ratio->high;
    }
    // Three standard errors of a share of 0.95.
    EXPECT_GE(inside, (0.95 - 0.015) * kRepetitions) << questions;
    EXPECT_LE(inside, most * kRepetitions) << questions;
  }
}

// Where answers are many, the interval is that of drawing the pairs again and again.
TEST(KeptRatio, IsNearTheBootstraps) {
  constexpr int kQuestions = 2000, kRepetitions = 4000;
  const PairedCounts counts{800, 90, 120};
  const Chances chances{800.0 / kQuestions, 90.0 / kQuestions, 120.0 / kQuestions};
  std::mt19937_64 random(2);
  std::vector<double> ratios;
  for (int i = 0; i < kRepetitions; ++i) {
    const PairedCounts again = draw(chances, kQuestions, random);
    ratios.push_back(static_cast<double>(again.both + again.only_variant) /
                     static_cast<double>(again.both + again.only_reference));
  }
  std::sort(ratios.begin(), ratios.end());
  const auto ratio = kept_ratio(counts);
  ASSERT_TRUE(ratio);
  EXPECT_NEAR(ratio->low, ratios[kRepetitions / 40], 0.003);
  EXPECT_NEAR(ratio->high, ratios[kRepetitions - kRepetitions / 40], 0.003);
}

TEST(KeptRatio, HasAWidthWhereNothingDiffers) {
  const auto hundred = kept_ratio({100, 0, 0});
  const auto thousand = kept_ratio({1000, 0, 0});
  ASSERT_TRUE(hundred && thousand);
  EXPECT_EQ(hundred->value, 1);
  EXPECT_NEAR(hundred->high - hundred->low, 0.038, 0.003);
  EXPECT_NEAR(thousand->high - thousand->low, 0.0038, 0.0003);
}

TEST(KeptRatio, IsNothingWithoutRightAnswers) {
  EXPECT_FALSE(kept_ratio({0, 0, 0}));
  EXPECT_FALSE(kept_ratio({0, 0, 5}));
  EXPECT_FALSE(kept_ratio({0, 5, 0}));
}

}  // namespace
}  // namespace stonechat
