// From float to stored tensor elements, for the types that we write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "gguf/types.h"

namespace stonechat {

// Encodes `elements` (a multiple of the type's block) from `source` to `destination`, as F32, F16, BF16, Q8_0
// or Q4_0; or one row as Q8_R. The bytes of Q8_0 and Q4_0 equal those of the `gguf` package.
//   Q8_0  d = max|w| / 127 in FP32, codes = round half away from zero of w * (1 / d), d stored in binary16
//   Q4_0  d = w / -8 in FP32 of the first w of largest magnitude, codes = min(15, floor(w * (1 / d) + 8.5)),
//         d stored in binary16
//   Q8_R  encode_row() with the row's largest_scale()
// Values must be finite and below largest_value(), else the result is meaningless: callers check.
void encode(gguf::TensorType type, const float* source, uint64_t elements, std::byte* destination);

// Values of this magnitude and more can't be stored in this type.
double largest_value(gguf::TensorType type);

// How a row of Q8_T, Q8_M or Q8_R is scaled: w = mean + step * code.
struct RowScale {
  double step = 0;
  float mean = 0;
};

// Codes -127 .. 127 for the row's largest magnitude: step = max|w| / 127, mean = 0.
RowScale largest_scale(std::span<const float> row);

// Rows one after another in any type that we write. Q8_T and Q8_M need the scale of their tensor; for others
// it isn't looked at.
void encode_rows(gguf::TensorType type, const RowScale& tensor_scale, std::span<const float> values,
                 uint64_t cols, std::byte* destination);

// Writes the row's header and codes: code = round half away from zero of (w - mean) / step in double, clipped
// at +-127; all 0 where step is 0.
void encode_row(const RowScale& scale, std::span<const float> row, std::byte* destination);

}  // namespace stonechat
