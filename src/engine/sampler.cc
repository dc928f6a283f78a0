#include "engine/sampler.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace stonechat {
namespace {

using Candidate = Sampler::Candidate;
using Candidates = Sampler::Candidates;

bool ranks_before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

// Probabilities of sorted candidates at a temperature.
void softmax(Candidates& sorted, double temperature) {
  const double largest = sorted.front().logit;
  double sum = 0;
  for (auto& candidate : sorted) {
    candidate.probability = std::exp((candidate.logit - largest) / temperature);
    sum += candidate.probability;
  }
  for (auto& candidate : sorted) candidate.probability /= sum;
}

// Keeps the tokens whose surprise is nearest to the entropy until their probabilities reach `typical_p`.
void keep_typical(Candidates& sorted, double typical_p) {
  softmax(sorted, 1.0);
  double entropy = 0;
  for (const auto& candidate : sorted) {
    if (candidate.probability > 0) entropy -= candidate.probability * std::log(candidate.probability);
  }
  const auto distance = [&](const Candidate& candidate) {
    return std::abs(-std::log(std::max(candidate.probability, 1e-300)) - entropy);
  };
  std::sort(sorted.begin(), sorted.end(), [&](const Candidate& a, const Candidate& b) {
    const double distance_a = distance(a);
    const double distance_b = distance(b);
    return distance_a != distance_b ? distance_a < distance_b : ranks_before(a, b);
  });
  double sum = 0;
  size_t kept = 0;
  while (kept < sorted.size() && sum < typical_p) sum += sorted[kept++].probability;
  sorted.resize(std::max<size_t>(1, kept));
  std::sort(sorted.begin(), sorted.end(), ranks_before);
}

// Keeps the fewest tokens whose probabilities reach `top_p`.
void keep_top_p(Candidates& sorted, double top_p) {
  softmax(sorted, 1.0);
  double sum = 0;
  size_t kept = 0;
  while (kept < sorted.size() && sum < top_p) sum += sorted[kept++].probability;
  sorted.resize(std::max<size_t>(1, kept));
}

// Keeps the tokens at least `min_p` times as probable as the first.
void keep_min_p(Candidates& sorted, double min_p) {
  const double least = sorted.front().logit + std::log(min_p);
  while (sorted.size() > 1 && sorted.back().logit < least) sorted.pop_back();
}

void check(bool holds, const char* option, const char* expected, double found) {
  if (!holds) fail(ErrorKind::kUsage, "{}: expected {}, got {}", option, expected, found);
}

}  // namespace

Sampler::Sampler(const SamplerOptions& options) : options_(options), random_(options.seed) {
  check(options.temperature >= 0 && options.temperature <= 100, "temperature", "0 to 100",
        options.temperature);
  check(options.top_p > 0 && options.top_p <= 1, "top-p", "above 0, at most 1", options.top_p);
  check(options.min_p >= 0 && options.min_p <= 1, "min-p", "0 to 1", options.min_p);
  check(options.typical_p > 0 && options.typical_p <= 1, "typical", "above 0, at most 1", options.typical_p);
  check(options.repetition_penalty > 0 && options.repetition_penalty <= 100, "repetition penalty",
        "above 0, at most 100", options.repetition_penalty);
  check(std::abs(options.presence_penalty) <= 100, "presence penalty", "-100 to 100",
        options.presence_penalty);
  check(std::abs(options.frequency_penalty) <= 100, "frequency penalty", "-100 to 100",
        options.frequency_penalty);
}

void Sampler::accept(int32_t token) {
  const bool penalizes =
      options_.repetition_penalty != 1 || options_.presence_penalty != 0 || options_.frequency_penalty != 0;
  if (!penalizes) return;
  seen_.push_back(token);
  ++times_seen_[token];
  while (seen_.size() > options_.penalty_window) {
    const auto oldest = times_seen_.find(seen_.front());
    if (--oldest->second == 0) times_seen_.erase(oldest);
    seen_.pop_front();
  }
}

float Sampler::penalized(float logit, uint32_t times) const {
  logit = logit > 0 ? logit / options_.repetition_penalty : logit * options_.repetition_penalty;
  return logit - options_.presence_penalty - static_cast<float>(times) * options_.frequency_penalty;
}

Candidates Sampler::candidates(std::span<const float> logits) const {
  Candidates result(logits.size());
  for (size_t token = 0; token < logits.size(); ++token)
    result[token] = {static_cast<int32_t>(token), logits[token], 0};
  for (const auto& [token, times] : times_seen_) {
    if (token < 0 || static_cast<size_t>(token) >= logits.size()) continue;
    float& logit = result[static_cast<size_t>(token)].logit;
    logit = penalized(logit, times);
  }
  if (options_.temperature == 0) {
    result = {*std::ranges::max_element(result, {}, &Candidate::logit)};  // the first of equal ones
    result[0].probability = 1;
    return result;
  }
  const size_t kept = options_.top_k == 0 ? result.size() : std::min<size_t>(options_.top_k, result.size());
  std::partial_sort(result.begin(), result.begin() + static_cast<std::ptrdiff_t>(kept), result.end(),
                    ranks_before);
  result.resize(kept);
  if (options_.typical_p < 1) keep_typical(result, options_.typical_p);
  if (options_.top_p < 1) keep_top_p(result, options_.top_p);
  if (options_.min_p > 0) keep_min_p(result, options_.min_p);
  softmax(result, options_.temperature);
  return result;
}

int32_t Sampler::sample(std::span<const float> logits) {
  const Candidates choices = candidates(logits);
  if (choices.size() == 1) return choices[0].token;
  // 53 random bits: standard distributions differ between libraries.
  double left = static_cast<double>(random_() >> 11) * 0x1p-53;
  for (const auto& choice : choices) {
    left -= choice.probability;
    if (left < 0) return choice.token;
  }
  return choices.back().token;
}

}  // namespace stonechat
