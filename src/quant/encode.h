// From float to stored tensor elements, for the types that we write: F32, F16, BF16, Q8_0.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gguf/types.h"

namespace stonechat {

// True for the four types that encode() takes.
bool can_encode(gguf::TensorType type);

// Encodes `elements` (a multiple of the type's block) from `source` to `destination`. Q8_0's bytes equal
// those of the `gguf` package and llama.cpp: d = max|w| / 127 in FP32, codes = round half away from zero of w
// * (1 / d), d stored in binary16. Values must be finite and |w| at most 65504 x 127 (Q8_0), else the result
// is meaningless: callers check.
void encode(gguf::TensorType type, const float* source, uint64_t elements, std::byte* destination);

}  // namespace stonechat
