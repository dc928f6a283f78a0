// Activations to codes with AVX2, and what products with unsigned codes share. Included by the AVX2 and
// AVX-VNNI sources only; internal to each.
#pragma once

#include <string.h>

#include "kernels/avx2_parts.h"
#include "kernels/simd_code_packs.h"

namespace stonechat::avx2 {
namespace {

// 16 values times `inverse`, rounded to nearest even, in 16 bits each.
inline __m256i sixteen_codes(const float* values, float inverse) {
  const __m256 factor = _mm256_set1_ps(inverse);
  const __m256i low = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(values), factor));
  const __m256i high = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(values + 8), factor));
  // Packing works within 128-bit lanes; the permutation puts the quarters back in order.
  return _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0b11'01'10'00);
}

// Of a block: 32 codes in 16 bits each.
inline int32_t sum_of_codes(__m256i low, __m256i high) {
  const __m256i pairs = _mm256_madd_epi16(_mm256_add_epi16(low, high), _mm256_set1_epi16(1));
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0b01'00'11'10));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0b10'11'00'01));
  return _mm_cvtsi128_si32(four);
}

// Of a Dot (simd_linear_codes.h): all but the multiplication of unsigned by signed bytes.
struct UnsignedCodes : CodeDot {
  using Simd = avx2::Simd;
  using Integers = __m256i;
  using Code = int8_t;
  static constexpr uint32_t kStepCols = 4;
  static constexpr uint32_t kGroupTokens = 4;  // 8 integer sums, 2 weights, 1 operand, 1 product
  static constexpr bool kUnsigned = true;
  static constexpr bool kWidens = false;

  static __m256i load(const uint8_t* codes) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(codes));
  }
  static __m256i load_low(const uint8_t* codes) {
    return _mm256_and_si256(load(codes), _mm256_set1_epi8(15));
  }
  static __m256i load_high(const uint8_t* codes) {
    return _mm256_and_si256(_mm256_srli_epi16(load(codes), 4), _mm256_set1_epi8(15));
  }
  static __m256i load_wide(const uint8_t* widened) { return load(widened); }
  static void store_wide(uint8_t* widened, __m256i weights) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(widened), weights);
  }
  // Four codes, or one sum.
  static __m256i broadcast(const void* stored) {
    int32_t value;
    memcpy(&value, stored, 4);
    return _mm256_set1_epi32(value);
  }

  static int32_t quantize(const float* values, float inverse, int8_t* codes) {
    const __m256i low = sixteen_codes(values, inverse);
    const __m256i high = sixteen_codes(values + 16, inverse);
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0b11'01'10'00);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), bytes);
    return sum_of_codes(low, high);
  }
};

}  // namespace
}  // namespace stonechat::avx2
