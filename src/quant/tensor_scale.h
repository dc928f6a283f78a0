// One scale for a whole tensor, and a mean: what Q8_T and Q8_M store in each row.
//
// Sums are taken by chunks in double and added in order, so that the number of threads changes nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "quant/encode.h"
#include "quant/tensor_stream.h"

namespace stonechat {

// Count, mean, squared differences from the mean, and the ends of some values.
struct Moments {
  uint64_t count = 0;
  double mean = 0;
  double squares = 0;  // sum of (w - mean)^2
  double least = 0;
  double most = 0;

  static Moments of(std::span<const float> values);
  // Of both together. Source: Chan, Golub, LeVeque, Updating Formulae and a Pairwise Algorithm for Computing
  // Sample Variances (1979).
  Moments& operator+=(const Moments& other);
  double deviation() const;  // of the population: divided by count
};
// Of a whole tensor, which is read once. `after_piece` as in TensorStream.
Moments moments_of(const TensorStream& stream, ThreadPool& pool,
                   FunctionRef<void(uint64_t rows)> after_piece);

// How many values have which magnitude: bin i counts those in [i, i + 1) * width; the last one's upper end
// too.
struct MagnitudeHistogram {
  double width = 0;
  std::vector<uint64_t> counts;
};

// The range c that loses least when values are rounded to c / 127 * {-127 .. 127}: the sum of step^2 / 12 for
// each magnitude up to c (the mean square of rounding, taken as uniform) and (|w| - c)^2 for those above,
// with the magnitudes of a bin at its middle. All ends of bins are tried.
double least_error_range(const MagnitudeHistogram& histogram);

// What Q8_T, Q8_M need of a tensor.
struct TensorScale {
  RowScale scale;
  double deviations = 0;  // Q8_M: the range of the codes, in deviations from the mean
};

// How often tensor_scale() reads the tensor.
uint32_t tensor_scale_passes(gguf::TensorType type, double range);

// Q8_T  step = max|w| / 127, mean 0
// Q8_M  step = range * deviation / 127 about the mean; range 0: that of least_error_range() about the mean. A
//       tensor of equal values has step 0: its mean is all that it needs.
// Anything else has no scale for the tensor: 0. `after_piece` as in TensorStream.
TensorScale tensor_scale(gguf::TensorType type, double range, const TensorStream& stream, ThreadPool& pool,
                         FunctionRef<void(uint64_t rows)> after_piece);

}  // namespace stonechat
