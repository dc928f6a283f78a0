// From stored tensor elements to float, for every type of gguf/types.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "gguf/types.h"

namespace stonechat {

// Decodes `elements` (a multiple of the type's block) from `source` to `destination`, in the arithmetic of
// the format's definition (FP32). No error: any bytes have a meaning; the caller checks that values are
// finite.
void decode(gguf::TensorType type, const std::byte* source, uint64_t elements, float* destination);

}  // namespace stonechat
