// AVX2 vectors for the simd_* templates, and what the AVX2 sources hand to their table. Included by them
// only.
//
// All that is defined here belongs to this namespace, so it is never the copy of a function compiled for an
// older processor.
#pragma once

#include <immintrin.h>

#include "kernels/kernel_table.h"

namespace stonechat::avx2 {

extern const LinearKernels kF32Linear;
extern const LinearKernels kF16Linear;
extern const LinearKernels kBf16Linear;
extern const LinearKernels kQ8_0Linear;
extern const LinearKernels kQ8RowLinear;
extern const LinearKernels kQ4_0Linear;
extern const AttentionKernels kAttention;
extern const VectorKernels kVector;
extern const TensorScaleKernels kTensorScale;
extern const LimitKernels kLimits;

// Internal to each source, as they are compiled for different processors.
namespace {

struct Simd {
  using Vector = __m256;
  static constexpr uint32_t kLanes = 8;
  // Register tiles: 16 vectors are there.
  static constexpr uint32_t kFloatTokens = 6;  // 12 sums, 2 weights
  static constexpr uint32_t kScoreRows = 2;    // 8 sums, 4 keys
  static constexpr uint32_t kValueRows = 2;    // 8 sums, 4 values
  static constexpr uint32_t kFewRows = 2;

  // At the end of functions in which GCC 12 forgets it, of large ones: code for older processors, such as
  // libm's, would run several times slower after them on Intel's.
  static void clear_upper_parts() { _mm256_zeroupper(); }

  static Vector load(const float* p) { return _mm256_loadu_ps(p); }
  // The first `count` values, `otherwise` in the lanes after them.
  static Vector load_first(const float* p, uint32_t count, float otherwise) {
    return _mm256_blendv_ps(broadcast(otherwise), load(p), _mm256_castsi256_ps(first_lanes(count)));
  }
  static void store(float* p, Vector v) { _mm256_storeu_ps(p, v); }
  static Vector broadcast(float value) { return _mm256_set1_ps(value); }

  // Makes the compiler hold a vector in a register that it would rather load again for each use.
  static void keep(Vector& v) { asm("" : "+x"(v)); }

  static Vector add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
  static Vector subtract(Vector a, Vector b) { return _mm256_sub_ps(a, b); }
  static Vector multiply(Vector a, Vector b) { return _mm256_mul_ps(a, b); }
  static Vector divide(Vector a, Vector b) { return _mm256_div_ps(a, b); }
  static Vector larger(Vector a, Vector b) { return _mm256_max_ps(a, b); }
  static Vector smaller(Vector a, Vector b) { return _mm256_min_ps(a, b); }
  static Vector magnitude(Vector a) { return _mm256_andnot_ps(broadcast(-0.0F), a); }
  static Vector negate(Vector a) { return _mm256_xor_ps(a, broadcast(-0.0F)); }
  static Vector fma(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
  // c where a is 0.
  static Vector fma_unless_zero(Vector a, Vector b, Vector c) {
    return _mm256_blendv_ps(fma(a, b, c), c, _mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_EQ_OQ));
  }

  static Vector widen_half(const uint16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Vector widen_bfloat(const uint16_t* p) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
  static float widen_one_half(uint16_t half) { return _cvtsh_ss(half); }
  static void store_half(uint16_t* p, Vector v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }
  // To nearest even, for numbers of 16 bits.
  static void store_words(int16_t* p, Vector v) {
    const __m256i code = _mm256_cvtps_epi32(v);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(code), _mm256_extracti128_si256(code, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), words);
  }

  static float largest(Vector v) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  // VectorKernels::hadamard of 8 values.
  static Vector hadamard(Vector v) {
    v = add_swapped<0b10101010>(v, _mm256_permute_ps(v, 0b10'11'00'01));
    v = add_swapped<0b11001100>(v, _mm256_permute_ps(v, 0b01'00'11'10));
    return add_swapped<0b11110000>(v, _mm256_permute2f128_ps(v, v, 1));
  }
  // Halves added until one value is left.
  static float tree_sum(Vector v) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  // The first step of SimdAttention::reduce_each(): lane k, of 128 bits, of fours[i] becomes `op` of the
  // halves of rows[4 * k + i].
  template <typename Op>
  static void reduce_to_fours(const Vector (&rows)[kLanes], Op&& op, Vector (&fours)[4]) {
    for (uint32_t i = 0; i < 4; ++i) {
      const Vector a = rows[i];
      const Vector b = rows[i + 4];
      fours[i] = op(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
    }
  }
  // Of each lane of 128 bits two floats of a, then two of b, as in SHUFPS.
  template <int kFloats>
  static Vector pick(Vector a, Vector b) {
    return _mm256_shuffle_ps(a, b, kFloats);
  }

  // p * 2^n, where n + kRounder is given: added where p has its exponent, n multiplies by 2^n. 0 where x is
  // below `tiny`.
  static Vector times_power(Vector p, Vector rounded, Vector x, float tiny) {
    const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(rounded), 23);
    const Vector product = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), exponent));
    return _mm256_andnot_ps(_mm256_cmp_ps(x, broadcast(tiny), _CMP_LT_OQ), product);
  }

  // Stores the outputs of rows [row, row + kLanes) of one token, those below end_row only.
  static void store_outputs(const LinearJob* job, uint32_t token, uint32_t row, Vector value) {
    if (row >= job->end_row) return;
    const __m256i mask = first_lanes(job->end_row - row);
    if (job->bias != nullptr) value = add(value, _mm256_maskload_ps(job->bias + row, mask));
    float* out = job->out + (token - job->first_token) * job->out_stride + (row - job->first_row);
    if (job->add_to_out) value = add(_mm256_maskload_ps(out, mask), value);
    _mm256_maskstore_ps(out, mask, value);
  }

 private:
  // v + swapped; swapped - v in the lanes that are the second of their pair.
  template <int kSecond>
  static Vector add_swapped(Vector v, Vector swapped) {
    return _mm256_blend_ps(add(v, swapped), subtract(swapped, v), kSecond);
  }
  static __m256i first_lanes(uint32_t count) {
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count < kLanes ? count : kLanes)), index);
  }
};

}  // namespace

}  // namespace stonechat::avx2
