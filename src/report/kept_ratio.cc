#include "report/kept_ratio.h"

#include <cassert>
#include <cmath>

namespace stonechat {
namespace {

struct Bounds {
  double low, high;
};

// Wilson's score interval of right / all, at `z` standard errors.
Bounds wilson(double right, double all, double z) {
  const double half = z * std::sqrt(z * z + 4 * right * (1 - right / all));
  const double middle = 2 * right + z * z;
  const double divisor = 2 * (all + z * z);
  return {(middle - half) / divisor, (middle + half) / divisor};
}

// Standard error of the logarithm of a proportion, with one added to what was right and to what wasn't.
double log_error(double right, double all) {
  return std::sqrt((1 - (right + 1) / (all + 2)) / (right + 1));
}

}  // namespace

PairedCounts paired_counts(const std::vector<bool>& variant, const std::vector<bool>& reference) {
  assert(variant.size() == reference.size());
  PairedCounts counts;
  for (size_t i = 0; i < variant.size(); ++i) {
    counts.both += variant[i] && reference[i];
    counts.only_variant += variant[i] && !reference[i];
    counts.only_reference += !variant[i] && reference[i];
  }
  return counts;
}

std::optional<Interval> kept_ratio(const PairedCounts& counts) {
  const auto differ = static_cast<double>(counts.only_variant + counts.only_reference);
  const auto variant = static_cast<double>(counts.both + counts.only_variant);
  const auto reference = static_cast<double>(counts.both + counts.only_reference);
  const double all = static_cast<double>(counts.both) + differ;
  if (variant == 0 || reference == 0) return std::nullopt;
  // The paired ratio's error over the sum of the two proportions' makes of two intervals side by side one
  // that is as wide as the pairs allow.
  const double paired_error = std::sqrt((differ + 2) / ((variant + 1) * (reference + 1)));
  const double z = kNormalQuantile * paired_error / (log_error(variant, all) + log_error(reference, all));
  const Bounds above = wilson(variant, all, z);
  const Bounds below = wilson(reference, all, z);
  return Interval{variant / reference, above.low / below.high, above.high / below.low};
}

}  // namespace stonechat
