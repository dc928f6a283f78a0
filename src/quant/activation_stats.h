// What is recorded of one tap while a model runs: by channel its ends and sums, and a sketch of magnitudes.
//
// A channel's sums go through the tokens in their order, whoever computes them and however tokens come in
// batches; squares of floats are exact in double. So equal tokens give equal bits.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "quant/magnitude_sketch.h"

namespace stonechat {

struct ActivationSummary {
  float minimum = 0;
  float maximum = 0;
  float mean = 0;
  float deviation = 0;  // of the population; 0 when rounding makes its square negative
  // Percentiles of |x| (MagnitudeSketch), never above the largest magnitude.
  float p99 = 0;
  float p99_9 = 0;
  float p99_99 = 0;
};

// One histogram a thread, shared by all taps of a run.
class SketchScratch {
 public:
  // Of a worker of the pool; all zeros between uses.
  std::span<uint64_t> of(uint32_t worker) {
    return std::span(counts_).subspan(size_t{worker} * MagnitudeSketch::kBuckets, MagnitudeSketch::kBuckets);
  }
  void reserve(uint32_t workers) {
    counts_.resize(std::max(counts_.size(), size_t{workers} * MagnitudeSketch::kBuckets));
  }

 private:
  std::vector<uint64_t> counts_;
};

class ActivationStats {
 public:
  // `groups` divides `channels`: groups of neighbouring channels, each with a sketch of its own.
  explicit ActivationStats(uint32_t channels, uint32_t groups = 1);

  // Takes values[token * stride + channel], the next `tokens` tokens.
  void add(const float* values, size_t stride, uint64_t tokens, ThreadPool& pool, SketchScratch& scratch);

  uint32_t channels() const { return static_cast<uint32_t>(sums_.size()); }
  uint32_t groups() const { return static_cast<uint32_t>(sketches_.size()); }
  uint64_t tokens() const { return tokens_; }
  uint64_t not_finite() const;

  // Without any tokens: zeros. Of all channels, or of one group.
  ActivationSummary summary() const;
  ActivationSummary summary(uint32_t group) const;

  // By channel. tokens() must not be 0.
  std::vector<float> minima() const { return minima_; }
  std::vector<float> maxima() const { return maxima_; }
  std::vector<float> means() const;
  std::vector<float> mean_squares() const;

 private:
  void add_channels(const float* values, size_t stride, uint64_t tokens, uint32_t first, uint32_t end,
                    std::span<uint64_t> counts);
  ActivationSummary summarize(uint32_t first, uint32_t end, const MagnitudeSketch& sketch) const;

  uint64_t tokens_ = 0;
  std::vector<float> minima_;
  std::vector<float> maxima_;
  std::vector<double> sums_;
  std::vector<double> squares_;
  std::vector<MagnitudeSketch> sketches_;  // by group
};

}  // namespace stonechat
