#include "engine/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace stonechat {
namespace {

using testing::ElementsAre;

SamplerOptions plain() {
  SamplerOptions options;
  options.temperature = 1;
  options.top_k = 0;
  options.top_p = 1;
  options.min_p = 0;
  return options;
}

std::vector<int32_t> tokens_of(const Sampler::Candidates& candidates) {
  std::vector<int32_t> tokens;
  for (const auto& candidate : candidates) tokens.push_back(candidate.token);
  return tokens;
}

// Logits whose softmax is these probabilities.
std::vector<float> logits_of(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double probability : probabilities) logits.push_back(static_cast<float>(std::log(probability)));
  return logits;
}

const std::vector<double> kProbabilities = {0.1, 0.4, 0.05, 0.2, 0.25};

TEST(Sampler, GreedyTakesTheFirstOfTheLargest) {
  SamplerOptions options;
  options.temperature = 0;
  Sampler sampler(options);
  EXPECT_EQ(sampler.sample(std::vector<float>{1, 3, 2, 3}), 1);
}

TEST(Sampler, PlainCandidatesAreTheSoftmax) {
  const auto candidates = Sampler(plain()).candidates(logits_of(kProbabilities));
  EXPECT_THAT(tokens_of(candidates), ElementsAre(1, 4, 3, 0, 2));
  for (const auto& candidate : candidates) {
    EXPECT_NEAR(candidate.probability, kProbabilities[static_cast<size_t>(candidate.token)], 1e-6);
  }
}

TEST(Sampler, TemperatureSharpens) {
  SamplerOptions options = plain();
  options.temperature = 0.5F;
  const auto candidates = Sampler(options).candidates(logits_of(kProbabilities));
  double squares = 0;
  for (const double probability : kProbabilities) squares += probability * probability;
  EXPECT_NEAR(candidates[0].probability, 0.16 / squares, 1e-6);  // p^(1/T), normalized
}

TEST(Sampler, TopKTopPMinPKeepWhatTheySay) {
  SamplerOptions options = plain();
  options.top_k = 2;
  EXPECT_THAT(tokens_of(Sampler(options).candidates(logits_of(kProbabilities))), ElementsAre(1, 4));
  options = plain();
  options.top_p = 0.6F;  // 0.4 + 0.25 reaches it
  EXPECT_THAT(tokens_of(Sampler(options).candidates(logits_of(kProbabilities))), ElementsAre(1, 4));
  options.top_p = 0.01F;
  EXPECT_THAT(tokens_of(Sampler(options).candidates(logits_of(kProbabilities))), ElementsAre(1));
  options = plain();
  options.min_p = 0.49F;  // at least 0.196
  EXPECT_THAT(tokens_of(Sampler(options).candidates(logits_of(kProbabilities))), ElementsAre(1, 4, 3));
}

TEST(Sampler, TypicalKeepsTheUnsurprising) {
  // The entropy is 1.4 nats: nearest are 0.25 (1.39), 0.2 (1.61), then 0.4 (0.92).
  SamplerOptions options = plain();
  options.typical_p = 0.3F;
  EXPECT_THAT(tokens_of(Sampler(options).candidates(logits_of(kProbabilities))), ElementsAre(4, 3));
}

TEST(Sampler, PenaltiesByTheirFormulas) {
  SamplerOptions options = plain();
  options.repetition_penalty = 2;
  options.presence_penalty = 0.5F;
  options.frequency_penalty = 0.25F;
  options.penalty_window = 3;
  Sampler sampler(options);
  for (const int32_t token : {3, 0, 1, 1}) sampler.accept(token);  // 3 has left the window
  const std::vector<float> logits = {4, -4, 2, 1};
  const auto candidates = sampler.candidates(logits);
  std::vector<float> after(4);
  for (const auto& candidate : candidates) after[static_cast<size_t>(candidate.token)] = candidate.logit;
  EXPECT_THAT(after, ElementsAre(4 / 2.0F - 0.5F - 0.25F, -4 * 2.0F - 0.5F - 0.5F, 2, 1));
}

TEST(Sampler, PenaltiesCountWhatIsInTheWindow) {
  SamplerOptions options = plain();
  options.frequency_penalty = 1;
  options.penalty_window = 20;
  Sampler sampler(options);
  std::vector<int32_t> seen;
  for (int32_t i = 0; i < 200; ++i) {
    seen.push_back(i * i % 7);
    sampler.accept(seen.back());
    const auto first = seen.end() - std::min<std::ptrdiff_t>(i + 1, options.penalty_window);
    for (const auto& candidate : sampler.candidates(std::vector<float>(7)))
      ASSERT_EQ(candidate.logit, -std::count(first, seen.end(), candidate.token));
  }
}

TEST(Sampler, DrawsFollowTheDistribution) {
  SamplerOptions options = plain();
  options.seed = 42;
  Sampler sampler(options);
  const auto logits = logits_of(kProbabilities);
  constexpr int kDraws = 20'000;
  std::vector<int> counts(kProbabilities.size());
  for (int i = 0; i < kDraws; ++i) ++counts[static_cast<size_t>(sampler.sample(logits))];
  for (size_t token = 0; token < counts.size(); ++token) {
    const double expected = kProbabilities[token] * kDraws;
    // Five standard deviations of a binomial count.
    EXPECT_NEAR(counts[token], expected, 5 * std::sqrt(expected * (1 - kProbabilities[token])));
  }
}

TEST(Sampler, SeedDecides) {
  SamplerOptions options = plain();
  options.seed = 7;
  Sampler first(options), second(options);
  const std::vector<float> logits(100, 0.0F);
  for (int i = 0; i < 50; ++i) ASSERT_EQ(first.sample(logits), second.sample(logits));
}

TEST(Sampler, RefusesOptionsOutOfRange) {
  const auto refuses = [](auto change) {
    SamplerOptions options;
    change(options);
    EXPECT_THROW(Sampler{options}, Error);
  };
  refuses([](auto& options) { options.temperature = -0.1F; });
  refuses([](auto& options) { options.temperature = NAN; });
  refuses([](auto& options) { options.top_p = 0; });
  refuses([](auto& options) { options.top_p = 1.5F; });
  refuses([](auto& options) { options.min_p = -1; });
  refuses([](auto& options) { options.typical_p = 0; });
  refuses([](auto& options) { options.repetition_penalty = 0; });
  refuses([](auto& options) { options.presence_penalty = INFINITY; });
  refuses([](auto& options) { options.frequency_penalty = NAN; });
}

}  // namespace
}  // namespace stonechat
