// AVX-512 vectors for the simd_* templates, and what the AVX-512 sources hand to their table. Included by
// them only.
//
// All that is defined here belongs to this namespace, so it is never the copy of a function compiled for an
// older processor.
#pragma once

#include <immintrin.h>

#include "kernels/kernel_table.h"

namespace stonechat::avx512 {

extern const LinearKernels kF32Linear;
extern const LinearKernels kF16Linear;
extern const LinearKernels kBf16Linear;
extern const LinearKernels kQ8_0Linear;
extern const LinearKernels kQ8RowLinear;
extern const LinearKernels kQ4_0Linear;
extern const AttentionKernels kAttention;
extern const AttentionKernels kAttentionAmx;
extern const VectorKernels kVector;
extern const TensorScaleKernels kTensorScale;
extern const LimitKernels kLimits;

// Internal to each source, as they are compiled for different processors.
namespace {

struct Simd {
  using Vector = __m512;
  static constexpr uint32_t kLanes = 16;
  // Register tiles: 32 vectors are there.
  static constexpr uint32_t kFloatTokens = 12;  // 24 sums, 2 weights
  static constexpr uint32_t kScoreRows = 14;    // 28 sums, 2 keys
  static constexpr uint32_t kValueRows = 14;    // 28 sums, 2 values
  static constexpr uint32_t kFewRows = 7;  // 28 sums, 4 values; the heads that share a key in Qwen2.5-0.5B

  // At the end of functions in which GCC 12 forgets it, of large ones: code for older processors, such as
  // libm's, would run several times slower after them on Intel's.
  static void clear_upper_parts() { _mm256_zeroupper(); }

  static Vector load(const float* p) { return _mm512_loadu_ps(p); }
  // The first `count` values, `otherwise` in the lanes after them.
  static Vector load_first(const float* p, uint32_t count, float otherwise) {
    return _mm512_mask_loadu_ps(broadcast(otherwise), first_lanes(count), p);
  }
  static void store(float* p, Vector v) { _mm512_storeu_ps(p, v); }
  static Vector broadcast(float value) { return _mm512_set1_ps(value); }

  // Makes the compiler hold a vector in a register that it would rather load again for each use.
  static void keep(Vector& v) { asm("" : "+v"(v)); }

  static Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
  static Vector subtract(Vector a, Vector b) { return _mm512_sub_ps(a, b); }
  static Vector multiply(Vector a, Vector b) { return _mm512_mul_ps(a, b); }
  static Vector divide(Vector a, Vector b) { return _mm512_div_ps(a, b); }
  static Vector larger(Vector a, Vector b) { return _mm512_max_ps(a, b); }
  static Vector smaller(Vector a, Vector b) { return _mm512_min_ps(a, b); }
  static Vector magnitude(Vector a) { return _mm512_abs_ps(a); }
  static Vector negate(Vector a) { return _mm512_xor_ps(a, broadcast(-0.0F)); }
  static Vector fma(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
  // c where a is 0.
  static Vector fma_unless_zero(Vector a, Vector b, Vector c) {
    const __mmask16 is_zero = _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_EQ_OQ);
    return _mm512_mask_mov_ps(fma(a, b, c), is_zero, c);
  }

  static Vector widen_half(const uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Vector widen_bfloat(const uint16_t* p) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
  }
  static float widen_one_half(uint16_t half) { return _cvtsh_ss(half); }
  static void store_half(uint16_t* p, Vector v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }
  // To nearest even, for numbers of 16 bits.
  static void store_words(int16_t* p, Vector v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(v)));
  }

  static float largest(Vector v) { return _mm512_reduce_max_ps(v); }
  // VectorKernels::hadamard of 16 values.
  static Vector hadamard(Vector v) {
    v = add_swapped(v, _mm512_permute_ps(v, 0b10'11'00'01), 0xaaaa);
    v = add_swapped(v, _mm512_permute_ps(v, 0b01'00'11'10), 0xcccc);
    v = add_swapped(v, _mm512_shuffle_f32x4(v, v, 0b10'11'00'01), 0xf0f0);
    return add_swapped(v, _mm512_shuffle_f32x4(v, v, 0b01'00'11'10), 0xff00);
  }
  // Halves added until one value is left.
  static float tree_sum(Vector v) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  // The first steps of SimdAttention::reduce_each(): lane k, of 128 bits, of fours[i] becomes `op` of the
  // quarters of rows[4 * k + i].
  template <typename Op>
  static void reduce_to_fours(const Vector (&rows)[kLanes], Op&& op, Vector (&fours)[4]) {
    for (uint32_t i = 0; i < 4; ++i) {
      Vector eights[2];  // of rows i and i + 4, of i + 8 and i + 12
      for (uint32_t half = 0; half < 2; ++half) {
        const Vector a = rows[8 * half + i];
        const Vector b = rows[8 * half + i + 4];
        eights[half] = op(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
      }
      fours[i] = op(_mm512_shuffle_f32x4(eights[0], eights[1], 0x88),
                    _mm512_shuffle_f32x4(eights[0], eights[1], 0xdd));
    }
  }
  // Of each lane of 128 bits two floats of a, then two of b, as in SHUFPS.
  template <int kFloats>
  static Vector pick(Vector a, Vector b) {
    return _mm512_shuffle_ps(a, b, kFloats);
  }

  // p * 2^n, where n + kRounder is given: added where p has its exponent, n multiplies by 2^n. 0 where x is
  // below `tiny`.
  static Vector times_power(Vector p, Vector rounded, Vector x, float tiny) {
    const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(rounded), 23);
    const __mmask16 is_not_tiny = _mm512_cmp_ps_mask(x, broadcast(tiny), _CMP_NLT_UQ);
    return _mm512_castsi512_ps(_mm512_maskz_add_epi32(is_not_tiny, _mm512_castps_si512(p), exponent));
  }

  // Stores the outputs of rows [row, row + kLanes) of one token, those below end_row only.
  static void store_outputs(const LinearJob* job, uint32_t token, uint32_t row, Vector value) {
    if (row >= job->end_row) return;
    const __mmask16 mask = first_lanes(job->end_row - row);
    if (job->bias != nullptr) value = add(value, _mm512_maskz_loadu_ps(mask, job->bias + row));
    float* out = job->out + (token - job->first_token) * job->out_stride + (row - job->first_row);
    if (job->add_to_out) value = add(_mm512_maskz_loadu_ps(mask, out), value);
    _mm512_mask_storeu_ps(out, mask, value);
  }

 private:
  // v + swapped; swapped - v in the lanes that are the second of their pair.
  static Vector add_swapped(Vector v, Vector swapped, __mmask16 second) {
    return _mm512_mask_sub_ps(add(v, swapped), second, swapped, v);
  }
  static __mmask16 first_lanes(uint32_t count) {
    return count >= kLanes ? 0xffff : static_cast<__mmask16>((1U << count) - 1);
  }
};

}  // namespace

}  // namespace stonechat::avx512
