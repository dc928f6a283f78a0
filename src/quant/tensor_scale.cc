#include "quant/tensor_scale.h"

#include <algorithm>
#include <cmath>
#include <mutex>

namespace stonechat {
namespace {

constexpr size_t kBins = 1 << 16;
constexpr double kLargestCode = 127;

MagnitudeHistogram magnitudes_about(float mean, double most, const TensorStream& stream, ThreadPool& pool,
                                    FunctionRef<void(uint64_t rows)> after_piece) {
  MagnitudeHistogram histogram{most / kBins, std::vector<uint64_t>(kBins)};
  std::mutex mutex;
  stream.for_each_chunk(
      pool,
      [&](const TensorStream::Chunk& chunk) {
        std::vector<uint32_t> counts(kBins);
        for (const float value : chunk.values) {
          const double magnitude = std::fabs(double{value} - mean);
          ++counts[std::min(kBins - 1, static_cast<size_t>(magnitude / histogram.width))];
        }
        const std::lock_guard lock(mutex);
        for (size_t bin = 0; bin < kBins; ++bin) histogram.counts[bin] += counts[bin];
      },
      after_piece);
  return histogram;
}

}  // namespace

Moments Moments::of(std::span<const float> values) {
  Moments result;
  result.count = values.size();
  const double first = values[0];
  double sum = 0;
  double squares = 0;
  result.least = result.most = first;
  for (const float value : values) {
    const double difference = value - first;
    sum += difference;
    squares += difference * difference;
    result.least = std::min(result.least, double{value});
    result.most = std::max(result.most, double{value});
  }
  const auto count = static_cast<double>(values.size());
  result.mean = first + sum / count;
  result.squares = std::max(0.0, squares - sum * (sum / count));
  return result;
}

Moments& Moments::operator+=(const Moments& other) {
  if (count == 0) return *this = other;
  const auto ours = static_cast<double>(count);
  const auto theirs = static_cast<double>(other.count);
  const double difference = other.mean - mean;
  count += other.count;
  mean += difference * (theirs / (ours + theirs));
  squares += other.squares + difference * difference * (ours * theirs / (ours + theirs));
  least = std::min(least, other.least);
  most = std::max(most, other.most);
  return *this;
}

double Moments::deviation() const {
  return std::sqrt(squares / static_cast<double>(count));
}

Moments moments_of(const TensorStream& stream, ThreadPool& pool,
                   FunctionRef<void(uint64_t rows)> after_piece) {
  std::vector<Moments> chunks(stream.chunks());
  stream.for_each_chunk(
      pool, [&](const TensorStream::Chunk& chunk) { chunks[chunk.index] = Moments::of(chunk.values); },
      after_piece);
  Moments total;
  for (const Moments& chunk : chunks) total += chunk;
  return total;
}

double least_error_range(const MagnitudeHistogram& histogram) {
  uint64_t inside = 0;
  for (const uint64_t count : histogram.counts) inside += count;
  // Of the magnitudes above the range, from the largest one down.
  double above = 0;
  double above_sum = 0;
  double above_squares = 0;
  double best_range = 0;
  double best_error = INFINITY;
  for (size_t bin = histogram.counts.size(); bin > 0; --bin) {
    const double range = histogram.width * static_cast<double>(bin);
    const double step = range / kLargestCode;
    const double clipped = above_squares - 2 * range * above_sum + range * range * above;
    const double error = static_cast<double>(inside) * step * step / 12 + clipped;
    if (error < best_error) {
      best_error = error;
      best_range = range;
    }
    const auto count = static_cast<double>(histogram.counts[bin - 1]);
    const double magnitude = histogram.width * (static_cast<double>(bin) - 0.5);
    inside -= histogram.counts[bin - 1];
    above += count;
    above_sum += count * magnitude;
    above_squares += count * magnitude * magnitude;
  }
  return best_range;
}

uint32_t tensor_scale_passes(gguf::TensorType type, double range) {
  if (type == gguf::TensorType::kQ8_T) return 1;
  if (type == gguf::TensorType::kQ8_M) return range == 0 ? 2 : 1;
  return 0;
}

TensorScale tensor_scale(gguf::TensorType type, double range, const TensorStream& stream, ThreadPool& pool,
                         FunctionRef<void(uint64_t rows)> after_piece) {
  TensorScale result;
  if (tensor_scale_passes(type, range) == 0) return result;
  const Moments moments = moments_of(stream, pool, after_piece);
  if (type == gguf::TensorType::kQ8_T) {
    result.scale.step = std::max(std::fabs(moments.least), std::fabs(moments.most)) / kLargestCode;
    return result;
  }
  result.scale.mean = static_cast<float>(moments.mean);
  const double deviation = moments.deviation();
  result.deviations = range;
  if (range == 0) {
    const double most = std::max(moments.most - result.scale.mean, result.scale.mean - moments.least);
    // Equal values: the pass is made all the same, so that progress stays true.
    const bool equal = deviation == 0 || most / kBins == 0;
    const MagnitudeHistogram histogram =
        magnitudes_about(result.scale.mean, equal ? 1 : most, stream, pool, after_piece);
    result.deviations = equal ? 0 : least_error_range(histogram) / deviation;
  }
  result.scale.step = result.deviations * deviation / kLargestCode;
  return result;
}

}  // namespace stonechat
