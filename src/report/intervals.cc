#include "report/intervals.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace stonechat {
namespace {

std::vector<double> logarithms(std::span<const double> values) {
  std::vector<double> result;
  for (const double value : values) result.push_back(std::log(value));
  return result;
}

Interval ratio_from(double log_ratio, double half_width) {
  return {std::exp(log_ratio), std::exp(log_ratio - half_width), std::exp(log_ratio + half_width)};
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
  const double half_width = kNormalQuantile * estimate.standard_error;
  return {estimate.mean, estimate.mean - half_width, estimate.mean + half_width};
}

std::optional<Interval> paired_ratio(std::span<const double> values, std::span<const double> over) {
  if (values.size() != over.size()) return welch_ratio(values, over);
  if (values.size() < 2) return std::nullopt;
  std::vector<double> differences;
  for (size_t i = 0; i < values.size(); ++i) differences.push_back(std::log(values[i]) - std::log(over[i]));
  const Estimate mean = estimate(differences);
  const auto degrees = static_cast<double>(values.size() - 1);
  return ratio_from(mean.mean, student_quantile(degrees) * mean.standard_error);
}

std::optional<Interval> welch_ratio(std::span<const double> values, std::span<const double> over) {
  if (values.size() < 2 || over.size() < 2) return std::nullopt;
  const Estimate one = estimate(logarithms(values));
  const Estimate other = estimate(logarithms(over));
  const double one_square = one.standard_error * one.standard_error;
  const double other_square = other.standard_error * other.standard_error;
  const double square = one_square + other_square;
  const double log_ratio = one.mean - other.mean;
  if (square == 0) return ratio_from(log_ratio, 0);
  // Welch and Satterthwaite's degrees of freedom.
  const double degrees = square * square /
                         (one_square * one_square / static_cast<double>(values.size() - 1) +
                          other_square * other_square / static_cast<double>(over.size() - 1));
  return ratio_from(log_ratio, student_quantile(degrees) * std::sqrt(square));
}

Interval difference(const Estimate& value, const Estimate& from) {
  return interval_of({value.mean - from.mean, std::hypot(value.standard_error, from.standard_error)});
}

}  // namespace stonechat
