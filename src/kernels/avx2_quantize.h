// Activations to codes with AVX2. Included by the AVX2 and AVX-VNNI sources only; internal to each.
#pragma once

#include "kernels/avx2_parts.h"

namespace stonechat::avx2 {
namespace {

// Of the magnitudes of a block's values.
inline float largest_magnitude(const float* values) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  __m256 largest = _mm256_setzero_ps();
  for (uint32_t i = 0; i < kBlock; i += Simd::kLanes)
    largest = _mm256_max_ps(largest, _mm256_andnot_ps(sign, _mm256_loadu_ps(values + i)));
  return Simd::largest(largest);
}

// 16 values times `inverse`, rounded to nearest even, in 16 bits each.
inline __m256i sixteen_codes(const float* values, float inverse) {
  const __m256 factor = _mm256_set1_ps(inverse);
  const __m256i low = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(values), factor));
  const __m256i high = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(values + 8), factor));
  // Packing works within 128-bit lanes; the permutation puts the quarters back in order.
  return _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0b11'01'10'00);
}

}  // namespace
}  // namespace stonechat::avx2
