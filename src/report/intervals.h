// Intervals of 95 % of measured figures: what is a difference and what is noise.
#pragma once

#include <optional>
#include <span>

#include "eval/statistics.h"

namespace stonechat {

inline constexpr double kNormalQuantile = 1.959963984540054;  // of 0.975

struct Interval {
  double value = 0, low = 0, high = 0;

  bool holds(double other) const { return low <= other && other <= high; }
};

// What a value of Student's distribution stays below with probability 0.975. Fractions of a degree are
// rounded down, which widens intervals. `degrees` is at least 1.
double student_quantile(double degrees);

Interval interval_of(const Estimate& estimate);

// How many times `over` the `values` are, both above 0, from their logarithms. Where both have as many, they
// are taken as pairs: rounds in which both took turns. Nothing for fewer than two values of either.
std::optional<Interval> paired_ratio(std::span<const double> values, std::span<const double> over);
// The same for samples that have nothing to do with each other (Welch).
std::optional<Interval> welch_ratio(std::span<const double> values, std::span<const double> over);

// values - from, with errors that have nothing to do with each other.
Interval difference(const Estimate& value, const Estimate& from);

}  // namespace stonechat
