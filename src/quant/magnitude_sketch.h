// Percentiles of |x| over any number of values in bounded memory.
//
// A histogram of the upper half of each magnitude's bits: sign dropped, 8 bits of exponent and 7 of mantissa
// stay (a bfloat16, cut instead of rounded), so each power of two has 128 buckets. A percentile is the middle
// of the bucket that holds the wanted rank, so it is within 1 / 256 (0.39 %) of the value at that rank, for
// values of at least 2^-126; smaller ones are off by at most 2^-134. Counts are whole numbers: the result
// depends on neither the order of the values nor who counted which of them, and sketches can be merged.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace stonechat {

class MagnitudeSketch {
 public:
  static constexpr uint32_t kBuckets = 1U << 15;
  static constexpr double kRelativeError = 1.0 / 256;
  static constexpr uint32_t bucket_of(float value) {
    return (std::bit_cast<uint32_t>(value) & 0x7fffffffU) >> 16;
  }

  void merge(const MagnitudeSketch& other);
  // Adds counts of bucket_of(), kBuckets of them, and sets them to 0.
  void take(std::span<uint64_t> counts);

  // Values that are infinite or NaN.
  uint64_t not_finite() const;
  // The magnitude at rank ceil(fraction x count) of 1 .. count; 0 without values. 0 < fraction <= 1.
  float percentile(double fraction) const;

 private:
  // Room for buckets [first, end).
  void widen(uint32_t first, uint32_t end);

  uint32_t first_ = 0;            // the bucket of counts_[0]
  std::vector<uint64_t> counts_;  // from the lowest bucket in use to the highest
  uint64_t count_ = 0;
};

}  // namespace stonechat
