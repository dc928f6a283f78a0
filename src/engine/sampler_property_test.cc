// What holds for the candidates of any logits and options.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <set>

#include "engine/sampler.h"

namespace stonechat {
namespace {

std::vector<float> any_logits() {
  const auto whole = *rc::gen::nonEmpty(rc::gen::container<std::vector<int>>(rc::gen::inRange(-400, 400)));
  std::vector<float> logits;
  for (const int value : whole) logits.push_back(static_cast<float>(value) / 16.0F);
  return logits;
}

float any_share() {
  return static_cast<float>(*rc::gen::inRange(1, 101)) / 100.0F;
}

SamplerOptions any_options() {
  SamplerOptions options;
  options.temperature = static_cast<float>(*rc::gen::inRange(0, 40)) / 10.0F;
  options.top_k = *rc::gen::inRange<uint32_t>(0, 20);
  options.top_p = any_share();
  options.min_p = any_share() - 0.01F;
  options.typical_p = any_share();
  options.repetition_penalty = 0.5F + any_share();
  options.presence_penalty = any_share();
  options.frequency_penalty = any_share();
  options.seed = *rc::gen::inRange<uint64_t>(0, 1000);
  return options;
}

RC_GTEST_PROP(SamplerProperty, CandidatesAreADistribution, ()) {
  const auto logits = any_logits();
  Sampler sampler(any_options());
  for (const int token :
       *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, static_cast<int>(logits.size())))) {
    sampler.accept(token);
  }
  const auto candidates = sampler.candidates(logits);
  RC_ASSERT(!candidates.empty());
  double sum = 0;
  std::set<int32_t> seen;
  for (size_t i = 0; i < candidates.size(); ++i) {
    sum += candidates[i].probability;
    RC_ASSERT(seen.insert(candidates[i].token).second);
    RC_ASSERT(candidates[i].token >= 0 && static_cast<size_t>(candidates[i].token) < logits.size());
    if (i > 0) RC_ASSERT(candidates[i].probability <= candidates[i - 1].probability);
  }
  RC_ASSERT(std::abs(sum - 1) < 1e-9);
  RC_ASSERT(seen.contains(sampler.sample(logits)));
}

RC_GTEST_PROP(SamplerProperty, EachFilterKeepsTheMostProbableToken, ()) {
  const auto logits = any_logits();
  SamplerOptions options = any_options();
  options.typical_p = 1;  // the one filter that may drop it
  const auto candidates = Sampler(options).candidates(logits);
  RC_ASSERT(logits[static_cast<size_t>(candidates[0].token)] ==
            *std::max_element(logits.begin(), logits.end()));
}

}  // namespace
}  // namespace stonechat
