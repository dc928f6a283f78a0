// VPDPBUSD, which multiplies unsigned by signed bytes, as a Dot of simd_linear_codes.h.
//
// Internal to each source that includes it, as these are compiled for different processors.
#pragma once

#include "kernels/avx512_parts.h"
#include "kernels/simd_code_packs.h"

namespace stonechat::avx512 {
namespace {

struct VnniDot : CodeDot {
  using Simd = avx512::Simd;
  using Integers = __m512i;
  using Code = int8_t;
  static constexpr uint32_t kStepCols = 4;
  static constexpr uint32_t kGroupTokens = 6;  // 12 sums, 12 integer sums, 2 weights, 1 operand
  static constexpr bool kUnsigned = true;
  static constexpr bool kWidens = false;

  static __m512i load(const uint8_t* codes) { return _mm512_load_si512(codes); }
  static __m512i load_low(const uint8_t* codes) {
    return _mm512_and_si512(load(codes), _mm512_set1_epi8(15));
  }
  static __m512i load_high(const uint8_t* codes) {
    return _mm512_and_si512(_mm512_srli_epi16(load(codes), 4), _mm512_set1_epi8(15));
  }
  static __m512i load_wide(const uint8_t* widened) { return load(widened); }
  static void store_wide(uint8_t* widened, __m512i weights) { _mm512_store_si512(widened, weights); }
  // Four codes, or one sum.
  static __m512i broadcast(const void* stored) {
    int32_t value;
    memcpy(&value, stored, 4);
    return _mm512_set1_epi32(value);
  }
  static __m512i begin(const void* start) { return broadcast(start); }
  static __m512i add(__m512i sum, __m512i weights, __m512i x) { return _mm512_dpbusd_epi32(sum, weights, x); }
  static __m512 to_float(__m512i sum, const void*) { return _mm512_cvtepi32_ps(sum); }

  static int32_t quantize(const float* values, float inverse, int8_t* codes) {
    const __m512 factor = _mm512_set1_ps(inverse);
    const __m512i low = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(values), factor));
    const __m512i high = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(values + 16), factor));
    const __m256i bytes = _mm256_set_m128i(_mm512_cvtsepi32_epi8(high), _mm512_cvtsepi32_epi8(low));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), bytes);
    // Sums of codes, not of `low` and `high`: those of a broken model's NaN overflow.
    const __m256i fours = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), bytes);
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(fours), _mm256_extracti128_si256(fours, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0b01'00'11'10));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0b10'11'00'01));
    return _mm_cvtsi128_si32(sum);
  }
};

}  // namespace
}  // namespace stonechat::avx512
