// Means, standard errors and percentiles of measured values.
#pragma once

#include <span>
#include <vector>

namespace stonechat {

struct Estimate {
  double mean = 0;
  double standard_error = 0;  // of the mean; 0 for fewer than two values
};

// Values must not be empty.
Estimate estimate(std::span<const double> values);
// The same, with the standard error from the means of groups of `group_size` values that follow each other:
// values of one text window depend on each other, windows hardly do. values.size() is a multiple; with one
// group the error is estimate()'s.
Estimate grouped_estimate(std::span<const double> values, size_t group_size);
// Standard deviation of a sample (divisor count - 1); 0 for fewer than two values.
double standard_deviation(std::span<const double> values);

// By linear interpolation between the nearest ranks; `fraction` 0.5 is the median. Values must not be empty.
std::vector<double> percentiles(std::vector<double> values, std::span<const double> fractions);
double median(std::vector<double> values);  // the same of 0.5

}  // namespace stonechat
