// What is recorded of a weight matrix: its distribution, and what each scheme of quantization would lose.
//
// Streams the tensor three times, some megabytes at a time. Sums are taken by chunks of a fixed size and
// added in order, so that the number of threads changes nothing.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "gguf/reader.h"

namespace stonechat {

struct WeightMoments {
  double minimum = 0;
  double maximum = 0;
  double mean = 0;
  double deviation = 0;  // of the population
};

// Writes what a scheme makes of some rows of a tensor with these moments: rounded[i] for values[i].
using RoundRows = void (*)(std::span<const float> values, uint64_t cols, const WeightMoments& tensor,
                           float* rounded);

// A scheme whose error is measured. Columns are a multiple of `block`.
struct MeasuredScheme {
  std::string_view name;  // "q8_t"
  uint64_t block;
  RoundRows round;
};

// The 8- and 4-bit schemes of quant/schemes.h as `quantize` stores them; q8_m with a range of one deviation,
// as the paper's equation 1 has it. Files name the ones that they were measured with.
std::span<const MeasuredScheme> measured_schemes();

struct WeightStats {
  std::string name;
  uint64_t rows = 0;
  uint64_t cols = 0;
  WeightMoments moments = {};
  double kurtosis = 0;  // E((w - mean)^4) / deviation^4: 3 for a normal distribution; 0 where all are equal
  // By scheme: root of (sum of squared differences / sum of squares). 0 for a tensor of zeros, -1 where the
  // scheme can't hold such columns.
  std::vector<double> errors = {};
};

// Told of tensor bytes read; each is read three times.
using WeightProgress = std::function<void(uint64_t done, uint64_t total)>;

// Of each tensor of two or more dimensions, in the file's order. Error{kBadFile} for values that aren't
// finite; `should_stop` is asked between pieces: Error{kInterrupted}.
std::vector<WeightStats> weight_stats(const gguf::Reader& file, ThreadPool& pool,
                                      const WeightProgress& progress,
                                      const std::function<bool()>& should_stop);

}  // namespace stonechat
