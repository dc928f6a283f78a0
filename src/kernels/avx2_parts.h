// What the AVX2 sources hand to their table, and what they share. Included by them only.
//
// Functions defined here are static: each source has its own copy, and none is compiled for older processors.
#pragma once

#include <immintrin.h>

#include "kernels/kernel_table.h"

namespace stonechat::avx2 {

extern const LinearKernels kF32Linear;
extern const LinearKernels kF16Linear;
extern const LinearKernels kBf16Linear;
extern const LinearKernels kQ8_0Linear;
extern const AttentionKernels kAttention;
extern const VectorKernels kVector;

inline constexpr uint32_t kLanes = 8;

// exp() as VectorKernels states it.
[[maybe_unused]] static inline __m256 exp_shared(__m256 x) {
  const __m256 is_tiny = _mm256_cmp_ps(x, _mm256_set1_ps(-87.0F), _CMP_LT_OQ);
  x = _mm256_min_ps(x, _mm256_set1_ps(88.0F));
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(kLog2E)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-kLn2High), x);
  r = _mm256_fmadd_ps(n, _mm256_set1_ps(-kLn2Low), r);
  __m256 p = _mm256_set1_ps(kExpCoefficients[0]);
  for (int i = 1; i < 8; ++i) p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExpCoefficients[i]));
  // 2^n by its exponent bits; n is -126 .. 127.
  const __m256i exponent =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_andnot_ps(is_tiny, _mm256_mul_ps(p, _mm256_castsi256_ps(exponent)));
}

// tree() of 8 values: halves added until one is left.
[[maybe_unused]] static inline float tree_sum(__m256 values) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

[[maybe_unused]] static inline float largest_of(__m256 values) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

// All bits set in the first `count` of 8 lanes.
[[maybe_unused]] static inline __m256i first_lanes(uint32_t count) {
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), index);
}

// Stores the outputs of rows [row, row + 8) of one token, those below end_row only.
[[maybe_unused]] static inline void store_outputs(const LinearJob* job, uint32_t token, uint32_t row,
                                                  __m256 value) {
  if (row >= job->end_row) return;
  const uint32_t rows = job->end_row - row;
  const __m256i mask = first_lanes(rows < kLanes ? rows : kLanes);
  if (job->bias != nullptr) value = _mm256_add_ps(value, _mm256_maskload_ps(job->bias + row, mask));
  float* out = job->out + token * job->out_stride + row;
  if (job->add_to_out) value = _mm256_add_ps(_mm256_maskload_ps(out, mask), value);
  _mm256_maskstore_ps(out, mask, value);
}

}  // namespace stonechat::avx2
