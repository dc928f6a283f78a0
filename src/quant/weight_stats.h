// What is recorded of a weight matrix: its distribution, and what each scheme of quantization would lose.
//
// Streams the tensor twice, some megabytes at a time. Sums are taken by chunks of a fixed size and added in
// order, so that the number of threads changes nothing.
#pragma once

#include <functional>
#include <span>
#include <string>
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

// What a scheme's type makes of some rows of a tensor with these moments, as `quantize` stores them:
// rounded[i] for values[i]. Q8_M has a range of one deviation, as the paper's equation 1 has it.
void round_rows(gguf::TensorType type, std::span<const float> values, uint64_t cols,
                const WeightMoments& tensor, float* rounded);

struct WeightStats {
  std::string name;
  uint64_t rows = 0;
  uint64_t cols = 0;
  WeightMoments moments = {};
  double kurtosis = 0;  // E((w - mean)^4) / deviation^4: 3 for a normal distribution; 0 where all are equal
  // By scheme, of schemes() where they were measured here: root of (sum of squared differences / sum of
  // squares). 0 for a tensor of zeros, -1 where the scheme can't hold such columns or so large a weight.
  std::vector<double> errors = {};
};

// Told of tensor bytes read; each is read twice.
using WeightProgress = std::function<void(uint64_t done, uint64_t total)>;

// Of each tensor of two or more dimensions, in the file's order. Error{kBadFile} for values that aren't
// finite; `should_stop` is asked between pieces: Error{kInterrupted}.
std::vector<WeightStats> weight_stats(const gguf::Reader& file, ThreadPool& pool,
                                      const WeightProgress& progress,
                                      const std::function<bool()>& should_stop);

}  // namespace stonechat
