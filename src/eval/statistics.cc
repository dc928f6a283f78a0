#include "eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace stonechat {
namespace {

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

double standard_deviation(std::span<const double> values) {
  if (values.size() < 2) return 0;
  const double mean = mean_of(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

Estimate estimate(std::span<const double> values) {
  return {mean_of(values), standard_deviation(values) / std::sqrt(static_cast<double>(values.size()))};
}

Estimate grouped_estimate(std::span<const double> values, size_t group_size) {
  if (values.size() < 2 * group_size) return estimate(values);
  std::vector<double> means;
  for (size_t begin = 0; begin < values.size(); begin += group_size)
    means.push_back(mean_of(values.subspan(begin, group_size)));
  return {mean_of(values), estimate(means).standard_error};
}

std::vector<double> percentiles(std::vector<double> values, std::span<const double> fractions) {
  std::sort(values.begin(), values.end());
  std::vector<double> result;
  for (const double fraction : fractions) {
    const double rank = fraction * static_cast<double>(values.size() - 1);
    const auto below = static_cast<size_t>(rank);
    const size_t above = std::min(below + 1, values.size() - 1);
    result.push_back(values[below] + (rank - static_cast<double>(below)) * (values[above] - values[below]));
  }
  return result;
}

double median(std::vector<double> values) {
  constexpr double kHalf[] = {0.5};
  return percentiles(std::move(values), kHalf)[0];
}

}  // namespace stonechat
