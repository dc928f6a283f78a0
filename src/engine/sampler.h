// Chooses the next token from the logits.
//
// The steps, in this order, each left out by its neutral value: penalties over the last tokens, top-k,
// typical, top-p, min-p, temperature, and a draw. Temperature 0 takes the most probable token after the
// penalties. Equal logits rank by token id, and the generator is a mt19937_64, so a seed gives the same text
// on every machine. Sources: nucleus sampling (arXiv 1904.09751), locally typical sampling (arXiv
// 2202.00666), min-p (arXiv 2407.01082), repetition penalty (arXiv 1909.05858). Not thread safe.
#pragma once

#include <cstdint>
#include <deque>
#include <random>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/memory_parts.h"

namespace stonechat {

struct SamplerOptions {
  float temperature = 0.7F;         // 0: greedy
  uint32_t top_k = 40;              // 0: all tokens
  float top_p = 0.95F;              // 1: off
  float min_p = 0.05F;              // 0: off
  float typical_p = 1.0F;           // 1: off
  float repetition_penalty = 1.0F;  // 1: off; logits above 0 are divided by it, others multiplied
  float presence_penalty = 0.0F;    // subtracted from the logits of tokens seen
  float frequency_penalty = 0.0F;   // subtracted once for each time that a token was seen
  uint32_t penalty_window = 64;     // how many of the last tokens the penalties look at
  uint64_t seed = 0;
};

class Sampler {
 public:
  // Error{kUsage} naming the option that is out of range.
  explicit Sampler(const SamplerOptions& options);

  struct Candidate {
    int32_t token;
    float logit;         // after the penalties
    double probability;  // among the candidates that are left
  };
  // The tokens that may be drawn, most probable first; their probabilities sum to 1. `logits` is not empty.
  using Candidates = PartVector<Candidate, MemoryPart::kLogits>;
  Candidates candidates(std::span<const float> logits) const;

  // Draws one of them.
  int32_t sample(std::span<const float> logits);

  // Tells the penalties of a token of the prompt or of the answer.
  void accept(int32_t token);

 private:
  float penalized(float logit, uint32_t times) const;

  SamplerOptions options_;
  std::mt19937_64 random_;
  std::deque<int32_t> seen_;  // the last penalty_window tokens; none where nothing is penalized
  std::unordered_map<int32_t, uint32_t> times_seen_;  // of each token among them
};

}  // namespace stonechat
