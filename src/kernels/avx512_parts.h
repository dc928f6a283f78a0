// What the AVX-512 sources hand to their table, and what they share. Included by them only.
//
// Functions defined here are static: each source has its own copy, and none is compiled for older processors.
#pragma once

#include <immintrin.h>

#include "kernels/kernel_table.h"

namespace stonechat::avx512 {

extern const LinearKernels kF32Linear;
extern const LinearKernels kF16Linear;
extern const LinearKernels kBf16Linear;
extern const LinearKernels kQ8_0Linear;
extern const AttentionKernels kAttention;
extern const VectorKernels kVector;

inline constexpr uint32_t kLanes = 16;

// exp() as VectorKernels states it.
[[maybe_unused]] static inline __m512 exp_shared(__m512 x) {
  const __mmask16 is_tiny = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.0F), _CMP_LT_OQ);
  x = _mm512_min_ps(x, _mm512_set1_ps(88.0F));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(kLog2E)), _MM_FROUND_TO_NEAREST_INT);
  __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-kLn2High), x);
  r = _mm512_fmadd_ps(n, _mm512_set1_ps(-kLn2Low), r);
  __m512 p = _mm512_set1_ps(kExpCoefficients[0]);
  for (int i = 1; i < 8; ++i) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExpCoefficients[i]));
  return _mm512_mask_mov_ps(_mm512_scalef_ps(p, n), is_tiny, _mm512_setzero_ps());
}

// tree() of 16 values: halves added until one is left.
[[maybe_unused]] static inline float tree_sum(__m512 values) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(values), _mm512_extractf32x8_ps(values, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

// Stores the outputs of rows [row, row + 16) of one token, those below end_row only.
[[maybe_unused]] static inline void store_outputs(const LinearJob* job, uint32_t token, uint32_t row,
                                                  __m512 value) {
  if (row >= job->end_row) return;
  const uint32_t rows = job->end_row - row;
  const __mmask16 mask = rows >= kLanes ? 0xffff : static_cast<__mmask16>((1U << rows) - 1);
  if (job->bias != nullptr) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, job->bias + row));
  float* out = job->out + token * job->out_stride + row;
  if (job->add_to_out) value = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, out), value);
  _mm512_mask_storeu_ps(out, mask, value);
}

}  // namespace stonechat::avx512
