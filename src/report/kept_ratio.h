// How much of the reference's accuracy a variant keeps, with the interval that questions answered by both
// allow.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "report/intervals.h"

namespace stonechat {

// Counts of questions answered by both. Those that both get wrong say nothing about the ratio.
struct PairedCounts {
  uint64_t both = 0;            // right
  uint64_t only_variant = 0;    // right
  uint64_t only_reference = 0;  // right
};

// `variant` and `reference` say of each question whether the answer was right, in the same order.
PairedCounts paired_counts(const std::vector<bool>& variant, const std::vector<bool>& reference);

// accuracy of the variant / accuracy of the reference with its 95 % interval: the hybrid Wilson score
// interval of Bonett and Price, "Confidence intervals for a ratio of binomial proportions based on paired
// data", Statistics in Medicine 25 (2006), in the notation of Fagerland, Lydersen and Laake, Statistics in
// Medicine 33 (2014). Unlike an interval from the delta method or a bootstrap it has a width where all
// answers agree: 100 questions without a difference don't show that there is none. Nothing when either got
// nothing right.
std::optional<Interval> kept_ratio(const PairedCounts& counts);

}  // namespace stonechat
