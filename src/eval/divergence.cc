#include "eval/divergence.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace stonechat {
namespace {

size_t index_of_largest(std::span<const float> values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

constexpr size_t kTop = 5;

// Indices of the largest values, largest first; of equal ones the earlier. Fewer values: the rest is size().
std::array<size_t, kTop> largest_indices(std::span<const float> values) {
  std::array<size_t, kTop> best;
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

double overlap(std::span<const float> logits, std::span<const float> reference) {
  const auto model_top = largest_indices(logits);
  const auto reference_top = largest_indices(reference);
  const size_t counted = std::min(kTop, logits.size());
  size_t shared = 0;
  for (size_t i = 0; i < counted; ++i)
    shared += std::find(model_top.begin(), model_top.end(), reference_top[i]) != model_top.end() ? 1 : 0;
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
  const size_t top = index_of_largest(logits);
  const size_t top_reference = index_of_largest(reference);
  const float largest = logits[top];
  const float largest_reference = reference[top_reference];
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
  return {
      .kl = weighted / sum_reference - std::log(sum_reference) + std::log(sum),
      .same_top = top == top_reference,
      .top5_overlap = overlap(logits, reference),
      .probability_difference = std::exp(right_log) - std::exp(right_log_reference),
      .log_probability = right_log,
      .log_probability_reference = right_log_reference,
  };
}

}  // namespace stonechat
