#include "quant/weight_stats.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "quant/decode.h"
#include "quant/encode.h"
#include "quant/schemes.h"
#include "quant/tensor_scale.h"
#include "quant/tensor_stream.h"

namespace stonechat {
namespace {

double largest_magnitude(const WeightMoments& moments) {
  return std::max(std::fabs(moments.minimum), std::fabs(moments.maximum));
}

struct Sums {
  double central_fourths = 0;
  std::vector<double> squared_differences;  // by scheme
};

WeightStats stats_of(const gguf::Reader& file, const gguf::TensorInfo& tensor, ThreadPool& pool,
                     const std::function<void(uint64_t bytes)>& after_piece) {
  const TensorStream stream(file, tensor);
  const auto after_rows = [&](uint64_t rows) { after_piece(rows * tensor.row_bytes()); };
  // Before anything is rounded to steps of these.
  const Moments of_tensor = moments_of(stream, pool, after_rows);
  const WeightMoments moments{of_tensor.least, of_tensor.most, of_tensor.mean, of_tensor.deviation()};
  const auto holds = [&](const Scheme& scheme) {
    return tensor.cols() % gguf::info(scheme.type).block_elements == 0 &&
           largest_magnitude(moments) < largest_value(scheme.type);
  };

  std::vector<Sums> chunks(stream.chunks());
  stream.for_each_chunk(
      pool,
      [&](const TensorStream::Chunk& chunk) {
        Sums& sums = chunks[chunk.index];
        for (const float value : chunk.values) {
          const double central = value - moments.mean;
          sums.central_fourths += central * central * central * central;
        }
        std::vector<float> rounded(chunk.values.size());
        for (const Scheme& scheme : schemes()) {
          double& squares = sums.squared_differences.emplace_back(0);
          if (!holds(scheme)) continue;
          round_rows(scheme.type, chunk.values, tensor.cols(), moments, rounded.data());
          for (size_t i = 0; i < rounded.size(); ++i) {
            const double difference = double{rounded[i]} - chunk.values[i];
            squares += difference * difference;
          }
        }
      },
      after_rows);

  WeightStats stats{.name = tensor.name, .rows = tensor.rows(), .cols = tensor.cols(), .moments = moments};
  const auto count = static_cast<double>(of_tensor.count);
  const double variance = of_tensor.squares / count;
  double fourths = 0;
  for (const Sums& sums : chunks) fourths += sums.central_fourths;
  if (variance > 0) stats.kurtosis = fourths / count / (variance * variance);
  const double squares = of_tensor.squares + count * moments.mean * moments.mean;
  for (size_t i = 0; i < schemes().size(); ++i) {
    double differences = 0;
    for (const Sums& sums : chunks) differences += sums.squared_differences[i];
    const double relative = squares > 0 ? std::sqrt(differences / squares) : 0;
    stats.errors.push_back(holds(schemes()[i]) ? relative : -1);
  }
  return stats;
}

}  // namespace

void round_rows(gguf::TensorType type, std::span<const float> values, uint64_t cols,
                const WeightMoments& tensor, float* rounded) {
  RowScale scale;
  if (type == gguf::TensorType::kQ8_T) scale.step = largest_magnitude(tensor) / 127;
  if (type == gguf::TensorType::kQ8_M)
    scale = {.step = tensor.deviation / 127, .mean = static_cast<float>(tensor.mean)};
  std::vector<std::byte> encoded(values.size() / cols * gguf::row_bytes(type, cols));
  encode_rows(type, scale, values, cols, encoded.data());
  decode_rows(type, encoded.data(), values.size() / cols, cols, rounded);
}

std::vector<WeightStats> weight_stats(const gguf::Reader& file, ThreadPool& pool,
                                      const WeightProgress& progress,
                                      const std::function<bool()>& should_stop) {
  constexpr uint64_t kPasses = 2;
  const auto is_matrix = [](const gguf::TensorInfo& tensor) { return tensor.shape.size() > 1; };
  uint64_t total = 0;
  for (const auto& tensor : file.tensors()) total += is_matrix(tensor) ? kPasses * tensor.bytes : 0;
  uint64_t done = 0;
  const std::function<void(uint64_t)> after_piece = [&](uint64_t bytes) {
    done += bytes;
    if (progress) progress(done, total);
    if (should_stop && should_stop()) fail(ErrorKind::kInterrupted, "interrupted");
  };
  std::vector<WeightStats> result;
  for (const auto& tensor : file.tensors()) {
    if (is_matrix(tensor)) result.push_back(stats_of(file, tensor, pool, after_piece));
  }
  return result;
}

}  // namespace stonechat
