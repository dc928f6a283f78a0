// The Dots of simd_attention_codes.h for codes of 16 bits in 256-bit vectors.
//
// Internal to each source that includes it, as these are compiled for different processors.
#pragma once

#include <string.h>

#include "kernels/avx2_parts.h"
#include "kernels/simd_attention_codes.h"

namespace stonechat::avx2 {
namespace {

// `Instructions` adds the products of pairs of codes to sums; by hand, as GCC copies a sum for each of them.
template <typename Instructions>
struct WordDots : WordCodeDots {
  using Simd = avx2::Simd;
  static constexpr uint32_t kRows = 6;  // 12 sums, 2 operands, 1 pair of codes
  using Sum = __m256i;
  using Keys = __m256i;
  using Values = __m256i;

  static Sum zero() { return _mm256_setzero_si256(); }
  static void put_weights(const __m256 (&scaled)[8], uint8_t* row) {
    for (uint32_t v = 0; v < 8; ++v)
      Simd::store_words(reinterpret_cast<int16_t*>(row) + v * Simd::kLanes, scaled[v]);
  }
  static Keys load_keys(const int16_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static Values load_values(const int16_t* p) { return load_keys(p); }
  static __m256i query(const uint8_t* row, uint32_t, uint32_t first) {
    int32_t pair;
    memcpy(&pair, row + size_t{2} * first, sizeof pair);
    return _mm256_set1_epi32(pair);
  }
  static __m256i weight(const uint8_t* row, uint32_t depth, uint32_t first) {
    return query(row, depth, first);
  }
  static void add(Sum& sum, __m256i a, __m256i b) { Instructions::add_pairs(sum, a, b); }
  static __m256 to_float(const Sum& sum, int32_t = 0) { return _mm256_cvtepi32_ps(sum); }
};

}  // namespace
}  // namespace stonechat::avx2
