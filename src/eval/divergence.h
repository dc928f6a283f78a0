// How far one model's next-token distribution is from another's, at one position.
#pragma once

#include <cstdint>
#include <span>

namespace stonechat {

// Natural logarithm of the softmax of `logits` at `token`, summed in double.
double log_probability(std::span<const float> logits, int32_t token);

struct Divergence {
  double kl = 0;  // sum of p_reference x ln(p_reference / p), in nats; never below 0
  bool same_top = false;
  double top5_overlap = 0;  // share of the reference's 5 likeliest tokens that are among the model's
  double probability_difference = 0;  // of the right token: the model's less the reference's
  double log_probability = 0;         // of the right token
  double log_probability_reference = 0;
};

// Both spans have the same length; `right` is the token that the text goes on with.
Divergence diverge(std::span<const float> logits, std::span<const float> reference, int32_t right);

}  // namespace stonechat
