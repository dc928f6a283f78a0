// VectorKernels::to_norm_codes for any width of vectors: codes of keys, where they are cached, and of the
// queries that meet them.
//
// `Simd` (avx2_parts.h, avx512_parts.h) gives the vectors; its types belong to one instruction set, so every
// instance of this template does too.
#pragma once

#include <math.h>
#include <stdint.h>

#include "kernels/kernel_table.h"
#include "kernels/simd_reduce.h"

namespace stonechat {

template <typename Simd>
float put_norm_codes(const float* x, uint32_t count, int16_t* codes) noexcept {
  using Vector = typename Simd::Vector;
  constexpr uint32_t kLanes = Simd::kLanes;
  const float largest = largest_magnitude<Simd>(x, count);
  const bool is_zero = largest <= 1e-30F;
  const Vector to_unit = Simd::broadcast(is_zero ? 0.0F : 1.0F / largest);
  const float norm = sqrtf(tree_of_16_sums<Simd>(count, [&](uint32_t i, Vector sum) {
    const Vector unit = Simd::multiply(Simd::load(x + i), to_unit);
    return Simd::fma(unit, unit, sum);
  }));
  const Vector to_code = Simd::broadcast(is_zero ? 0.0F : kWordCodes / norm);
  for (uint32_t i = 0; i < count; i += kLanes)
    Simd::store_words(codes + i, Simd::multiply(Simd::multiply(Simd::load(x + i), to_unit), to_code));
  return is_zero ? 0.0F : largest * (norm / kWordCodes);
}

}  // namespace stonechat
