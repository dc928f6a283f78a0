#include "quant/magnitude_sketch.h"

#include <algorithm>

namespace stonechat {
namespace {

constexpr uint32_t kFirstNotFinite = 0x7f80;

// Half-way between the lowest and the highest value of a bucket.
float middle(uint32_t bucket) {
  return std::bit_cast<float>(bucket << 16 | 0x8000U);
}

}  // namespace

void MagnitudeSketch::widen(uint32_t first, uint32_t end) {
  if (counts_.empty()) first_ = first;
  const auto old_end = first_ + static_cast<uint32_t>(counts_.size());
  if (first < first_) {
    counts_.insert(counts_.begin(), first_ - first, 0);
    first_ = first;
  }
  if (end > old_end) counts_.resize(end - first_);
}

void MagnitudeSketch::merge(const MagnitudeSketch& other) {
  if (other.counts_.empty()) return;
  widen(other.first_, other.first_ + static_cast<uint32_t>(other.counts_.size()));
  uint64_t* into = counts_.data() + (other.first_ - first_);
  for (const uint64_t count : other.counts_) *into++ += count;
  count_ += other.count_;
}

void MagnitudeSketch::take(std::span<uint64_t> counts) {
  const auto used = [](uint64_t count) { return count != 0; };
  const auto first = std::find_if(counts.begin(), counts.end(), used);
  if (first == counts.end()) return;
  const auto last = std::find_if(counts.rbegin(), counts.rend(), used).base();
  const auto offset = static_cast<uint32_t>(first - counts.begin());
  widen(offset, static_cast<uint32_t>(last - counts.begin()));
  uint64_t* into = counts_.data() + (offset - first_);
  for (auto count = first; count != last; ++count) {
    *into++ += *count;
    count_ += *count;
    *count = 0;
  }
}

uint64_t MagnitudeSketch::not_finite() const {
  uint64_t sum = 0;
  for (size_t i = kFirstNotFinite - std::min(first_, kFirstNotFinite); i < counts_.size(); ++i)
    sum += counts_[i];
  return sum;
}

float MagnitudeSketch::percentile(double fraction) const {
  if (count_ == 0) return 0;
  const auto rank = std::max<uint64_t>(
      1, std::min(count_, static_cast<uint64_t>(std::ceil(fraction * static_cast<double>(count_)))));
  uint64_t below = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    below += counts_[i];
    if (below >= rank) return middle(first_ + static_cast<uint32_t>(i));
  }
  return middle(first_ + static_cast<uint32_t>(counts_.size()) -
                1);  // not reached: counts_ adds up to count_
}

}  // namespace stonechat
