// How finely a stored tensor can tell values apart.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gguf/types.h"

namespace stonechat {

// For each element, the distance between neighbouring values of its block (its format's scale; for K formats
// plus what the rounding of that scale can add); for F16 and BF16 that of floating point numbers of its size,
// for F32 0. `elements` is a multiple of the type's block; one row of a type whose rows have a header.
void rounding_steps(gguf::TensorType type, const std::byte* source, uint64_t elements, float* steps);

// The order of types by how little they round: a larger number is more precise.
uint32_t precision_rank(gguf::TensorType type);

}  // namespace stonechat
