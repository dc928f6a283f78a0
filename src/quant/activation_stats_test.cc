// The sketch against sorted values, and that statistics depend on the values' order by token only.
#include "quant/activation_stats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace stonechat {
namespace {

// Values over many powers of two, of both signs.
std::vector<float> wide_values(size_t count, uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i)
    values.push_back(std::exp(3 * normal(engine)) * (i % 2 == 0 ? 1.0F : -1.0F));
  return values;
}

float exact_percentile(std::vector<float> values, double fraction) {
  for (float& value : values) value = std::fabs(value);
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<size_t>(std::ceil(fraction * static_cast<double>(values.size())));
  return values[rank - 1];
}

void add(MagnitudeSketch& sketch, std::span<const float> values) {
  std::vector<uint64_t> counts(MagnitudeSketch::kBuckets);
  for (const float value : values) ++counts[MagnitudeSketch::bucket_of(value)];
  sketch.take(counts);
}

TEST(MagnitudeSketch, IsWithinItsBoundOfTheExactRank) {
  for (const size_t count : {1, 2, 99, 100, 101, 1000, 123'457}) {
    const std::vector<float> values = wide_values(count, 3);
    MagnitudeSketch sketch;
    add(sketch, values);
    for (const double fraction : {1e-9, 0.001, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0}) {
      const float exact = exact_percentile(values, fraction);
      EXPECT_NEAR(sketch.percentile(fraction), exact, exact * MagnitudeSketch::kRelativeError)
          << fraction << " of " << count;
    }
  }
}

TEST(MagnitudeSketch, HoldsItsBoundAtTheEdgesOfBuckets) {
  for (const float edge : {0x1p-126F, 1.0F, 1.0F + 0x1p-7F, 0x1.fep127F, std::numeric_limits<float>::max()}) {
    for (const float value : {edge, std::nextafter(edge, 0.0F), std::nextafter(edge, 1e38F)}) {
      MagnitudeSketch sketch;
      add(sketch, std::vector{value});
      // A subnormal just below the first edge: the absolute bound.
      const float bound = std::max(value * static_cast<float>(MagnitudeSketch::kRelativeError), 0x1p-134F);
      EXPECT_NEAR(sketch.percentile(0.5), value, bound) << value;
    }
  }
  MagnitudeSketch zeros;
  add(zeros, std::vector{0.0F, -0.0F});
  EXPECT_LE(zeros.percentile(1), 0x1p-133F);
}

TEST(MagnitudeSketch, MergesInAnyOrderAndWay) {
  const std::vector<float> values = wide_values(5000, 4);
  MagnitudeSketch whole;
  add(whole, values);
  MagnitudeSketch parts[5];
  for (size_t i = 0; i < values.size(); ++i) add(parts[i * i % 5], std::span(values).subspan(i, 1));
  MagnitudeSketch merged;
  for (const size_t part : {3, 0, 4, 1, 2}) merged.merge(parts[part]);
  for (double fraction = 0.01; fraction < 1; fraction += 0.01)
    EXPECT_EQ(merged.percentile(fraction), whole.percentile(fraction));
}

TEST(MagnitudeSketch, CountsWhatIsNotFinite) {
  MagnitudeSketch sketch;
  EXPECT_EQ(sketch.not_finite(), 0U);
  EXPECT_EQ(sketch.percentile(0.5), 0);
  add(sketch, std::vector{1.0F, std::numeric_limits<float>::max()});
  EXPECT_EQ(sketch.not_finite(), 0U);
  add(sketch, std::vector{-INFINITY, NAN, 3.0F});
  EXPECT_EQ(sketch.not_finite(), 2U);
  MagnitudeSketch only;
  add(only, std::vector{NAN});
  EXPECT_EQ(only.not_finite(), 1U);
}

constexpr uint32_t kChannels = 150;
constexpr uint64_t kTokens = 77;

ActivationStats stats_of(const std::vector<float>& values, uint32_t threads, uint64_t batch,
                         uint32_t groups) {
  ThreadPool pool(threads);
  SketchScratch scratch;
  ActivationStats stats(kChannels, groups);
  for (uint64_t token = 0; token < kTokens; token += batch) {
    stats.add(values.data() + token * kChannels, kChannels, std::min(batch, kTokens - token), pool, scratch);
  }
  return stats;
}

TEST(ActivationStats, EqualsPlainSums) {
  const std::vector<float> values = wide_values(kChannels * kTokens, 5);
  const ActivationStats stats = stats_of(values, 2, 10, 3);
  ASSERT_EQ(stats.tokens(), kTokens);
  double all = 0, all_squares = 0;
  for (uint32_t channel = 0; channel < kChannels; ++channel) {
    double sum = 0, squares = 0;
    float least = INFINITY, most = -INFINITY;
    for (uint64_t token = 0; token < kTokens; ++token) {
      const float value = values[token * kChannels + channel];
      sum += value;
      squares += double{value} * value;
      least = std::min(least, value);
      most = std::max(most, value);
    }
    EXPECT_EQ(stats.minima()[channel], least);
    EXPECT_EQ(stats.maxima()[channel], most);
    EXPECT_FLOAT_EQ(stats.means()[channel], static_cast<float>(sum / kTokens));
    EXPECT_FLOAT_EQ(stats.mean_squares()[channel], static_cast<float>(squares / kTokens));
    all += sum;
    all_squares += squares;
  }
  const ActivationSummary summary = stats.summary();
  const double count = static_cast<double>(values.size());
  EXPECT_EQ(summary.minimum, *std::min_element(values.begin(), values.end()));
  EXPECT_EQ(summary.maximum, *std::max_element(values.begin(), values.end()));
  EXPECT_FLOAT_EQ(summary.mean, static_cast<float>(all / count));
  const double mean = all / count;
  EXPECT_FLOAT_EQ(summary.deviation, static_cast<float>(std::sqrt(all_squares / count - mean * mean)));
  const float exact = exact_percentile(values, 0.99);
  EXPECT_NEAR(summary.p99, exact, exact / 256);
  EXPECT_LE(summary.p99_99, std::max(-summary.minimum, summary.maximum));
}

TEST(ActivationStats, OfAGroupAreThoseOfItsChannels) {
  std::vector<float> values = wide_values(kChannels * kTokens, 6);
  const ActivationStats stats = stats_of(values, 2, kTokens, 3);
  ActivationStats alone(kChannels / 3);
  ThreadPool pool(1);
  SketchScratch scratch;
  alone.add(values.data() + kChannels / 3, kChannels, kTokens, pool, scratch);
  const ActivationSummary expected = alone.summary();
  const ActivationSummary got = stats.summary(1);
  EXPECT_EQ(got.minimum, expected.minimum);
  EXPECT_EQ(got.deviation, expected.deviation);
  EXPECT_EQ(got.p99_9, expected.p99_9);
}

TEST(ActivationStats, DependOnNeitherThreadsNorBatches) {
  const std::vector<float> values = wide_values(kChannels * kTokens, 7);
  const ActivationStats expected = stats_of(values, 1, kTokens, 1);
  for (const uint32_t threads : {1, 2, 3}) {
    for (const uint64_t batch : {1, 7, 64}) {
      const ActivationStats stats = stats_of(values, threads, batch, 1);
      EXPECT_EQ(stats.means(), expected.means());
      EXPECT_EQ(stats.mean_squares(), expected.mean_squares());
      EXPECT_EQ(stats.minima(), expected.minima());
      EXPECT_EQ(stats.summary().mean, expected.summary().mean);
      EXPECT_EQ(stats.summary().deviation, expected.summary().deviation);
      EXPECT_EQ(stats.summary().p99, expected.summary().p99);
    }
  }
}

}  // namespace
}  // namespace stonechat
