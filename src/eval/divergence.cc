#include "eval/divergence.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace stonechat {
namespace {

constexpr size_t kTop = 5;
using TopIndices = std::array<size_t, kTop>;

// Indices of the largest values, largest first; of equal ones the earlier. Fewer values: the rest is size().
TopIndices largest_indices(std::span<const float> values) {
  TopIndices best;
  best.fill(values.size());
  for (size_t index = 0; index < values.size(); ++index) {
    if (best.back() != values.size() && !(values[index] > values[best.back()])) continue;
    size_t slot = kTop - 1;
    for (; slot > 0 && (best[slot - 1] == values.size() || values[index] > values[best[slot - 1]]); --slot)
      best[slot] = best[slot - 1];
    best[slot] = index;
  }
  return best;
}

double overlap(const TopIndices& top, const TopIndices& reference, size_t vocabulary) {
  const size_t counted = std::min(kTop, vocabulary);
  size_t shared = 0;
  for (size_t i = 0; i < counted; ++i)
    shared += std::find(top.begin(), top.end(), reference[i]) != top.end() ? 1 : 0;
  return static_cast<double>(shared) / static_cast<double>(counted);
}

}  // namespace

double log_probability(std::span<const float> logits, int32_t token) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return double{logits[static_cast<size_t>(token)]} - largest - std::log(sum);
}

Divergence diverge(std::span<const float> logits, std::span<const float> reference, int32_t right) {
  const TopIndices top = largest_indices(logits);
  const TopIndices top_reference = largest_indices(reference);
  const float largest = logits[top[0]];
  const float largest_reference = reference[top_reference[0]];
  // With e = exp(reference - largest): KL = sum(e x (log e - log e')) / sum(e) - ln sum(e) + ln sum(e').
  double sum = 0;
  double sum_reference = 0;
  double weighted = 0;
  for (size_t token = 0; token < logits.size(); ++token) {
    const float shifted = logits[token] - largest;
    const float shifted_reference = reference[token] - largest_reference;
    const double weight = std::exp(shifted_reference);
    sum += std::exp(shifted);
    sum_reference += weight;
    weighted += weight * (double{shifted_reference} - shifted);
  }
  const auto index = static_cast<size_t>(right);
  const double right_log = double{logits[index]} - largest - std::log(sum);
  const double right_log_reference = double{reference[index]} - largest_reference - std::log(sum_reference);
  // Exponentials are of floats: of distributions that are nearly the same, rounding can bring it below 0.
  // What isn't a number stays so.
  const double kl = std::max(weighted / sum_reference - std::log(sum_reference) + std::log(sum), 0.0);
  return {
      .kl = kl,
      .same_top = top[0] == top_reference[0],
      .top5_overlap = overlap(top, top_reference, logits.size()),
      .probability_difference = std::exp(right_log) - std::exp(right_log_reference),
      .log_probability = right_log,
      .log_probability_reference = right_log_reference,
  };
}

}  // namespace stonechat
