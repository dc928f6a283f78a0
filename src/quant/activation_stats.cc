#include "quant/activation_stats.h"

#include <array>
#include <cassert>
#include <cmath>
#include <limits>

#include "base/checked.h"

namespace stonechat {
namespace {

// Channels that a thread takes at once: their sums stay in the nearest cache.
constexpr uint32_t kBlock = 64;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

ActivationStats::ActivationStats(uint32_t channels, uint32_t groups)
    : minima_(channels, kInfinity),
      maxima_(channels, -kInfinity),
      sums_(channels),
      squares_(channels),
      sketches_(groups) {
  assert(channels % groups == 0);
}

void ActivationStats::add(const float* values, size_t stride, uint64_t tokens, ThreadPool& pool,
                          SketchScratch& scratch) {
  scratch.reserve(pool.threads());
  const uint32_t width = channels() / groups();
  for (uint32_t group = 0; group < groups(); ++group) {
    const uint32_t first = group * width;
    pool.for_each_part(ceil_div(width, kBlock), 1, [&](uint64_t begin, uint64_t end, uint32_t worker) {
      for (uint64_t block = begin; block < end; ++block) {
        const uint32_t from = first + static_cast<uint32_t>(block) * kBlock;
        add_channels(values, stride, tokens, from, std::min(from + kBlock, first + width),
                     scratch.of(worker));
      }
    });
    for (uint32_t worker = 0; worker < pool.threads(); ++worker) sketches_[group].take(scratch.of(worker));
  }
  tokens_ += tokens;
}

void ActivationStats::add_channels(const float* values, size_t stride, uint64_t tokens, uint32_t first,
                                   uint32_t end, std::span<uint64_t> counts) {
  const uint32_t count = end - first;
  // Local copies: the compiler then knows that they aren't the values.
  std::array<float, kBlock> minima{}, maxima{};
  std::array<double, kBlock> sums{}, squares{};
  std::copy_n(minima_.begin() + first, count, minima.begin());
  std::copy_n(maxima_.begin() + first, count, maxima.begin());
  std::copy_n(sums_.begin() + first, count, sums.begin());
  std::copy_n(squares_.begin() + first, count, squares.begin());
  for (uint64_t token = 0; token < tokens; ++token) {
    const float* row = values + token * stride + first;
    for (uint32_t i = 0; i < count; ++i) {
      const float value = row[i];
      minima[i] = value < minima[i] ? value : minima[i];
      maxima[i] = value > maxima[i] ? value : maxima[i];
      sums[i] += double{value};
      squares[i] += double{value} * value;
    }
    for (uint32_t i = 0; i < count; ++i) ++counts[MagnitudeSketch::bucket_of(row[i])];
  }
  std::copy_n(minima.begin(), count, minima_.begin() + first);
  std::copy_n(maxima.begin(), count, maxima_.begin() + first);
  std::copy_n(sums.begin(), count, sums_.begin() + first);
  std::copy_n(squares.begin(), count, squares_.begin() + first);
}

uint64_t ActivationStats::not_finite() const {
  uint64_t sum = 0;
  for (const MagnitudeSketch& sketch : sketches_) sum += sketch.not_finite();
  return sum;
}

ActivationSummary ActivationStats::summarize(uint32_t first, uint32_t end,
                                             const MagnitudeSketch& sketch) const {
  if (tokens_ == 0) return {};
  ActivationSummary summary{.minimum = kInfinity, .maximum = -kInfinity};
  double sum = 0;
  double squares = 0;
  for (uint32_t channel = first; channel < end; ++channel) {
    summary.minimum = std::min(summary.minimum, minima_[channel]);
    summary.maximum = std::max(summary.maximum, maxima_[channel]);
    sum += sums_[channel];
    squares += squares_[channel];
  }
  const double count = static_cast<double>(tokens_) * (end - first);
  const double mean = sum / count;
  summary.mean = static_cast<float>(mean);
  summary.deviation = static_cast<float>(std::sqrt(std::max(0.0, squares / count - mean * mean)));
  const float largest = std::max(std::fabs(summary.minimum), std::fabs(summary.maximum));
  summary.p99 = std::min(largest, sketch.percentile(0.99));
  summary.p99_9 = std::min(largest, sketch.percentile(0.999));
  summary.p99_99 = std::min(largest, sketch.percentile(0.9999));
  return summary;
}

ActivationSummary ActivationStats::summary() const {
  MagnitudeSketch all;
  for (const MagnitudeSketch& sketch : sketches_) all.merge(sketch);
  return summarize(0, channels(), all);
}

ActivationSummary ActivationStats::summary(uint32_t group) const {
  const uint32_t width = channels() / groups();
  return summarize(group * width, (group + 1) * width, sketches_[group]);
}

std::vector<float> ActivationStats::means() const {
  std::vector<float> result;
  for (const double sum : sums_) result.push_back(static_cast<float>(sum / static_cast<double>(tokens_)));
  return result;
}

std::vector<float> ActivationStats::mean_squares() const {
  std::vector<float> result;
  for (const double sum : squares_) result.push_back(static_cast<float>(sum / static_cast<double>(tokens_)));
  return result;
}

}  // namespace stonechat
