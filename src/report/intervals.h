// Intervals of 95 % of measured figures: what is a difference and what is noise.
#pragma once

#include <cstdint>
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
// Of an error that comes from so few values, two at least, that it is itself uncertain (Student).
Interval interval_of(const Estimate& estimate, uint64_t values);
Interval exponential(const Interval& logarithm);

// How many times `over` the `values` are, both above 0, from the logarithms of pairs: rounds in which both
// took turns. Of equal length. Nothing for fewer than two.
std::optional<Interval> paired_ratio(std::span<const double> values, std::span<const double> over);
// The same for samples that have nothing to do with each other (Welch).
std::optional<Interval> welch_ratio(std::span<const double> values, std::span<const double> over);

// values - from, with errors that have nothing to do with each other.
Interval difference(const Estimate& value, const Estimate& from);
// The same for errors from few values each, two at least (Welch).
Interval welch_difference(const Estimate& value, uint64_t values, const Estimate& from, uint64_t from_values);

}  // namespace stonechat
