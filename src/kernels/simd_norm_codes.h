// VectorKernels::to_norm_codes for any width of vectors: codes of keys, where they are cached, and of the
// queries that meet them.
//
// `Simd` (avx2_parts.h, avx512_parts.h) gives the vectors; its types belong to one instruction set, so every
// instance of this template does too.
#pragma once

#include <math.h>
#include <stdint.h>

#include "kernels/kernel_table.h"

namespace stonechat {

template <typename Simd>
float put_norm_codes(const float* x, uint32_t count, int16_t* codes) noexcept {
  using Vector = typename Simd::Vector;
  constexpr uint32_t kLanes = Simd::kLanes;
  constexpr uint32_t kPartials = 16 / kLanes;  // vectors of the 16 sums
  Vector most = Simd::broadcast(0);
  for (uint32_t i = 0; i < count; i += kLanes) most = Simd::larger(most, Simd::magnitude(Simd::load(x + i)));
  const float largest = Simd::largest(most);
  const bool is_zero = largest <= 1e-30F;
  const Vector to_unit = Simd::broadcast(is_zero ? 0.0F : 1.0F / largest);
  Vector sums[kPartials];
  for (uint32_t p = 0; p < kPartials; ++p) sums[p] = Simd::broadcast(0);
  for (uint32_t i = 0; i < count; i += 16) {
    for (uint32_t p = 0; p < kPartials; ++p) {
      const Vector unit = Simd::multiply(Simd::load(x + i + p * kLanes), to_unit);
      sums[p] = Simd::fma(unit, unit, sums[p]);
    }
  }
  if constexpr (kPartials == 2) sums[0] = Simd::add(sums[0], sums[1]);
  const float norm = sqrtf(Simd::tree_sum(sums[0]));
  const Vector to_code = Simd::broadcast(is_zero ? 0.0F : kWordCodes / norm);
  for (uint32_t i = 0; i < count; i += kLanes)
    Simd::store_words(codes + i, Simd::multiply(Simd::multiply(Simd::load(x + i), to_unit), to_code));
  return is_zero ? 0.0F : largest * (norm / kWordCodes);
}

}  // namespace stonechat
