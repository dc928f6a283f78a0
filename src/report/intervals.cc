#include "report/intervals.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <vector>

namespace stonechat {
namespace {

std::vector<double> logarithms(std::span<const double> values) {
  std::vector<double> result;
  for (const double value : values) result.push_back(std::log(value));
  return result;
}

Interval around(double value, double half_width) {
  return {value, value - half_width, value + half_width};
}

}  // namespace

double student_quantile(double degrees) {
  constexpr std::array<double, 30> kQuantiles = {
      12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139,
      2.200985,  2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963,
      2.079614,  2.073873, 2.068658, 2.063899, 2.059539, 2.055529, 2.051831, 2.048407, 2.045230, 2.042272};
  if (degrees < kQuantiles.size() + 1) return kQuantiles[static_cast<size_t>(std::max(degrees, 1.0)) - 1];
  // The first terms of Cornish and Fisher's expansion (Abramowitz and Stegun, 26.7.5).
  const double z = kNormalQuantile;
  const double whole = std::floor(degrees);
  return z + (std::pow(z, 3) + z) / (4 * whole) +
         (5 * std::pow(z, 5) + 16 * std::pow(z, 3) + 3 * z) / (96 * whole * whole);
}

Interval interval_of(const Estimate& estimate) {
  return around(estimate.mean, kNormalQuantile * estimate.standard_error);
}

Interval interval_of(const Estimate& estimate, uint64_t values) {
  return around(estimate.mean, student_quantile(static_cast<double>(values) - 1) * estimate.standard_error);
}

Interval exponential(const Interval& logarithm) {
  return {std::exp(logarithm.value), std::exp(logarithm.low), std::exp(logarithm.high)};
}

std::optional<Interval> paired_ratio(std::span<const double> values, std::span<const double> over) {
  assert(values.size() == over.size());
  if (values.size() < 2) return std::nullopt;
  std::vector<double> differences;
  for (size_t i = 0; i < values.size(); ++i) differences.push_back(std::log(values[i]) - std::log(over[i]));
  return exponential(interval_of(estimate(differences), differences.size()));
}

std::optional<Interval> welch_ratio(std::span<const double> values, std::span<const double> over) {
  if (values.size() < 2 || over.size() < 2) return std::nullopt;
  return exponential(
      welch_difference(estimate(logarithms(values)), values.size(), estimate(logarithms(over)), over.size()));
}

Interval difference(const Estimate& value, const Estimate& from) {
  return interval_of({value.mean - from.mean, std::hypot(value.standard_error, from.standard_error)});
}

Interval welch_difference(const Estimate& value, uint64_t values, const Estimate& from,
                          uint64_t from_values) {
  const double mean = value.mean - from.mean;
  const double error = std::hypot(value.standard_error, from.standard_error);
  if (error == 0) return around(mean, 0);
  // Welch and Satterthwaite's degrees of freedom, from each side's share of the squared error.
  const double share = std::pow(value.standard_error / error, 2);
  const double from_share = std::pow(from.standard_error / error, 2);
  const double degrees = 1 / (share * share / (static_cast<double>(values) - 1) +
                              from_share * from_share / (static_cast<double>(from_values) - 1));
  return around(mean, student_quantile(degrees) * error);
}

}  // namespace stonechat
