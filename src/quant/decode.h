// From stored tensor elements to float, for every type of gguf/types.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "gguf/types.h"

namespace stonechat {

// Decodes `elements` (a multiple of the type's block; exactly one row of a type whose rows have a header)
// from `source` to `destination`, in the arithmetic of the format's definition (FP32, each operation
// rounded). No error: any bytes have a meaning; the caller checks that values are finite.
void decode(gguf::TensorType type, const std::byte* source, uint64_t elements, float* destination);

// The same for `rows` rows one after another, of any type.
void decode_rows(gguf::TensorType type, const std::byte* source, uint64_t rows, uint64_t cols,
                 float* destination);

}  // namespace stonechat
