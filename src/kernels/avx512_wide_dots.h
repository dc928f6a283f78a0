// The Dots of simd_attention_codes.h for AVX-512.
//
// Internal to each source that includes it, as these are compiled for different processors.
#pragma once

#include <string.h>

#include "kernels/avx512_parts.h"
#include "kernels/simd_attention_codes.h"

namespace stonechat::avx512 {
namespace {

// Codes of 16 bits, multiplied in pairs by VPDPWSSD.
struct WordDots : WordCodeDots {
  using Simd = avx512::Simd;
  static constexpr uint32_t kRows = 14;  // 28 sums, 2 operands
  using Sum = __m512i;
  using Keys = __m512i;
  using Values = __m512i;

  static Sum zero() { return _mm512_setzero_si512(); }
  static void put_weights(const __m512 (&scaled)[4], uint8_t* row) {
    for (uint32_t v = 0; v < 4; v += 2) {
      const __m512i words =
          _mm512_packs_epi32(_mm512_cvtps_epi32(scaled[v]), _mm512_cvtps_epi32(scaled[v + 1]));
      // Packing works within 128-bit lanes: each has four of one vector and four of the other.
      const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
      _mm512_storeu_si512(row + size_t{32} * v, _mm512_permutexvar_epi64(order, words));
    }
  }
  static Keys load_keys(const int16_t* p) { return _mm512_loadu_si512(p); }
  static Values load_values(const int16_t* p) { return _mm512_loadu_si512(p); }
  static __m512i query(const uint8_t* row, uint32_t, uint32_t first) {
    int32_t pair;
    memcpy(&pair, row + size_t{2} * first, sizeof pair);
    return _mm512_set1_epi32(pair);
  }
  static __m512i weight(const uint8_t* row, uint32_t depth, uint32_t first) {
    return query(row, depth, first);
  }
  // By hand, as GCC copies a sum for each of these instructions.
  static void add(Sum& sum, __m512i a, __m512i b) { asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b)); }
  static __m512 to_float(const Sum& sum, int32_t = 0) { return _mm512_cvtepi32_ps(sum); }
};

// Wide codes as two digits of 8 bits, each multiplied by VPDPBUSD. It takes unsigned and signed numbers: keys
// are moved to 0 .. 255, the digits of weights are 0 .. 127.
struct WideDots : WideCodeDots {
  using Simd = avx512::Simd;
  using Words = WordDots;
  static constexpr uint32_t kRows = 7;  // 28 sums, 2 operands
  struct Sum {
    __m512i high, low;
  };
  struct Keys {
    __m512i codes;
  };
  struct Values {
    __m512i codes;
  };
  struct Query {
    const uint8_t* high;
    const uint8_t* low;
  };
  struct Weight {
    __m512i high, low;
  };

  static Sum zero() { return {_mm512_setzero_si512(), _mm512_setzero_si512()}; }
  static int32_t put_query(__m512 scaled, uint8_t* row, uint32_t depth, uint32_t first) {
    const __m512i code = _mm512_cvtps_epi32(scaled);
    const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(code, _mm512_set1_epi32(64)), 7);
    put_digits(high, _mm512_sub_epi32(code, _mm512_slli_epi32(high, 7)), row, depth, first);
    return _mm512_reduce_add_epi32(code);
  }
  static void put_weights(const __m512 (&scaled)[4], uint8_t* row) {
    __m512i high[4];
    __m512i low[4];
    for (uint32_t v = 0; v < 4; ++v) {
      const __m512i codes = _mm512_cvtps_epi32(scaled[v]);
      high[v] = _mm512_srli_epi32(codes, 7);
      low[v] = _mm512_and_si512(codes, _mm512_set1_epi32(127));
    }
    _mm512_storeu_si512(row, bytes_of(high));
    _mm512_storeu_si512(row + kKeyStep, bytes_of(low));
  }
  static Keys load_keys(const int8_t* p) {
    return {_mm512_xor_si512(_mm512_loadu_si512(p), _mm512_set1_epi8(-128))};
  }
  static Values load_values(const int8_t* p) { return {_mm512_loadu_si512(p)}; }
  static Query query(const uint8_t* row, uint32_t depth, uint32_t first) {
    return {row + first, row + depth + first};
  }
  static Weight weight(const uint8_t* row, uint32_t depth, uint32_t first) {
    return {four(row + first), four(row + depth + first)};
  }
  static void add(Sum& sum, const Keys& keys, const Query& query) {
    add_broadcast(sum.high, keys.codes, query.high);
    add_broadcast(sum.low, keys.codes, query.low);
  }
  static void add(Sum& sum, const Values& values, const Weight& weight) {
    add_product(sum.high, weight.high, values.codes);
    add_product(sum.low, weight.low, values.codes);
  }
  static __m512 to_float(const Sum& sum) { return _mm512_cvtepi32_ps(whole(sum)); }
  static __m512 to_float(const Sum& sum, int32_t query_sum) {
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(whole(sum), _mm512_set1_epi32(128 * query_sum)));
  }

 private:
  // By hand, as GCC copies a sum for each of these instructions.
  static void add_product(__m512i& sum, __m512i a, __m512i b) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  }
  static void add_broadcast(__m512i& sum, __m512i a, const uint8_t* four_codes) {
    asm("vpdpbusd %2%{1to16%}, %1, %0"
        : "+v"(sum)
        : "v"(a), "m"(*reinterpret_cast<const uint8_t(*)[4]>(four_codes)));
  }
  static void put_digits(__m512i high, __m512i low, uint8_t* row, uint32_t depth, uint32_t first) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(row + first), _mm512_cvtepi32_epi8(high));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(row + depth + first), _mm512_cvtepi32_epi8(low));
  }
  static __m512i bytes_of(const __m512i (&digits)[4]) {
    const __m512i bytes = _mm512_packs_epi16(_mm512_packs_epi32(digits[0], digits[1]),
                                             _mm512_packs_epi32(digits[2], digits[3]));
    // Packing works within 128-bit lanes: each has four of each vector.
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, bytes);
  }
  static __m512i four(const uint8_t* codes) {
    int32_t bits;
    memcpy(&bits, codes, sizeof bits);
    return _mm512_set1_epi32(bits);
  }
  static __m512i whole(const Sum& sum) { return _mm512_add_epi32(_mm512_slli_epi32(sum.high, 7), sum.low); }
};

}  // namespace
}  // namespace stonechat::avx512
