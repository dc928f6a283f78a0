// How near a test of `stonechat bench` came to what the machine allows.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "eval/machine_limits.h"
#include "model/cost.h"

namespace stonechat {

struct Roofline {
  // `limits` were measured before each repetition and after the last; `samples_ns` are the repetitions.
  // Prompts and answers are bound each by itself, one after the other.
  Roofline(const Cost& prompt, const Cost& generate, std::span<const MachineLimits> limits,
           std::span<const double> samples_ns);

  Cost cost;                   // of one repetition
  MachineLimits limits;        // medians
  Limit limit;                 // what binds, at these limits, most of the time
  std::vector<double> shares;  // of each repetition: time at the limits / time taken
  double share;                // their median
};

std::string_view name(Limit limit);  // "integer", "float", "read"

}  // namespace stonechat
