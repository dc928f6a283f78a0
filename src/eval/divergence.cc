#include "eval/divergence.h"

#include <algorithm>
#include <cmath>

namespace stonechat {
namespace {

size_t index_of_largest(std::span<const float> values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
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
  return {
      .kl = weighted / sum_reference - std::log(sum_reference) + std::log(sum),
      .same_top = top == top_reference,
      .log_probability = double{logits[index]} - largest - std::log(sum),
      .log_probability_reference = double{reference[index]} - largest_reference - std::log(sum_reference),
  };
}

}  // namespace stonechat
