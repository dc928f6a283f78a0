#include "quant/weight_stats.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "quant/decode.h"
#include "quant/encode.h"
#include "quant/tensor_stream.h"

namespace stonechat {
namespace {

constexpr uint64_t kBlock = 32;

// What a type makes of rows of a tensor.
template <gguf::TensorType kType>
void round_rows(std::span<const float> values, uint64_t cols, const WeightMoments& tensor, float* rounded) {
  RowScale scale;
  if (kType == gguf::TensorType::kQ8_T)
    scale.step = std::max(std::fabs(tensor.minimum), std::fabs(tensor.maximum)) / 127;
  if (kType == gguf::TensorType::kQ8_M)
    scale = {.step = tensor.deviation / 127, .mean = static_cast<float>(tensor.mean)};
  std::vector<std::byte> encoded(values.size() / cols * gguf::row_bytes(kType, cols));
  encode_rows(kType, scale, values, cols, encoded.data());
  decode_rows(kType, encoded.data(), values.size() / cols, cols, rounded);
}

constexpr std::array<MeasuredScheme, 5> kSchemes = {{
    {"q8_0", kBlock, round_rows<gguf::TensorType::kQ8_0>},
    {"q8_t", kBlock, round_rows<gguf::TensorType::kQ8_T>},
    {"q8_m", kBlock, round_rows<gguf::TensorType::kQ8_M>},
    {"q8_r", kBlock, round_rows<gguf::TensorType::kQ8_R>},
    {"q4_0", kBlock, round_rows<gguf::TensorType::kQ4_0>},
}};

struct FirstSums {
  double minimum = INFINITY;
  double maximum = -INFINITY;
  double sum = 0;
};

struct SecondSums {
  double squares = 0;
  double central_squares = 0;
  double central_fourths = 0;
  std::array<double, kSchemes.size()> squared_differences{};
};

// Sums of all chunks of a tensor, added in order: of_values(values) -> Sums, merge(Sums).
template <typename Sums, typename OfValues, typename Merge>
void sum_chunks(const TensorStream& stream, ThreadPool& pool, FunctionRef<void(uint64_t rows)> after_piece,
                OfValues&& of_values, Merge&& merge) {
  std::vector<Sums> sums(stream.chunks());
  stream.for_each_chunk(
      pool, [&](const TensorStream::Chunk& chunk) { sums[chunk.index] = of_values(chunk.values); },
      after_piece);
  for (const Sums& sum : sums) merge(sum);
}

WeightStats stats_of(const gguf::Reader& file, const gguf::TensorInfo& tensor, ThreadPool& pool,
                     const std::function<void(uint64_t bytes)>& after_piece) {
  const TensorStream stream(file, tensor);
  const auto after_rows = [&](uint64_t rows) { after_piece(rows * tensor.row_bytes()); };
  FirstSums first;
  sum_chunks<FirstSums>(
      stream, pool, after_rows,
      [&](std::span<const float> values) {
        FirstSums sums;
        for (const float value : values) {
          sums.minimum = std::min(sums.minimum, double{value});
          sums.maximum = std::max(sums.maximum, double{value});
          sums.sum += double{value};
        }
        return sums;
      },
      [&](const FirstSums& sums) {
        first.minimum = std::min(first.minimum, sums.minimum);
        first.maximum = std::max(first.maximum, sums.maximum);
        first.sum += sums.sum;
      });
  const auto count = static_cast<double>(tensor.elements());
  WeightMoments moments{first.minimum, first.maximum, first.sum / count, 0};

  const auto add_errors = [&](std::span<const float> values, SecondSums& sums) {
    std::vector<float> rounded(values.size());
    for (size_t scheme = 0; scheme < kSchemes.size(); ++scheme) {
      if (tensor.cols() % kSchemes[scheme].block != 0) continue;
      kSchemes[scheme].round(values, tensor.cols(), moments, rounded.data());
      for (size_t i = 0; i < values.size(); ++i) {
        const double difference = double{rounded[i]} - values[i];
        sums.squared_differences[scheme] += difference * difference;
      }
    }
  };
  // The deviation is needed before anything is rounded to steps of it.
  SecondSums second;
  sum_chunks<SecondSums>(
      stream, pool, after_rows,
      [&](std::span<const float> values) {
        SecondSums sums;
        for (const float value : values) {
          const double central = value - moments.mean;
          sums.squares += double{value} * value;
          sums.central_squares += central * central;
          sums.central_fourths += central * central * central * central;
        }
        return sums;
      },
      [&](const SecondSums& sums) {
        second.squares += sums.squares;
        second.central_squares += sums.central_squares;
        second.central_fourths += sums.central_fourths;
      });
  const double variance = second.central_squares / count;
  moments.deviation = std::sqrt(variance);
  sum_chunks<SecondSums>(
      stream, pool, after_rows,
      [&](std::span<const float> values) {
        SecondSums sums;
        add_errors(values, sums);
        return sums;
      },
      [&](const SecondSums& sums) {
        for (size_t i = 0; i < kSchemes.size(); ++i)
          second.squared_differences[i] += sums.squared_differences[i];
      });

  WeightStats stats{.name = tensor.name, .rows = tensor.rows(), .cols = tensor.cols(), .moments = moments};
  if (variance > 0) stats.kurtosis = second.central_fourths / count / (variance * variance);
  for (size_t i = 0; i < kSchemes.size(); ++i) {
    const bool fits = tensor.cols() % kSchemes[i].block == 0;
    const double relative =
        second.squares > 0 ? std::sqrt(second.squared_differences[i] / second.squares) : 0;
    stats.errors.push_back(fits ? relative : -1);
  }
  return stats;
}

}  // namespace

std::span<const MeasuredScheme> measured_schemes() {
  return kSchemes;
}

std::vector<WeightStats> weight_stats(const gguf::Reader& file, ThreadPool& pool,
                                      const WeightProgress& progress,
                                      const std::function<bool()>& should_stop) {
  constexpr uint64_t kPasses = 3;
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
