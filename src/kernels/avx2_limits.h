// What SimdLimits needs besides integer products, with AVX2; included by sources that have AVX2 and more.
#pragma once

#include "kernels/avx2_parts.h"
#include "kernels/simd_limits.h"

namespace stonechat::avx2 {
namespace {

struct LimitOperations {
  using Floats = __m256;
  using Integers [[gnu::vector_size(32)]] = int32_t;
  using Codes = __m256i;
  static constexpr uint32_t kFloatSums = 12;  // of 16 registers; 2 operands

  static __m256 broadcast(float value) { return _mm256_set1_ps(value); }
  static __m256 fma(__m256 a, __m256 b, __m256 sum) { return _mm256_fmadd_ps(a, b, sum); }
  static void hide(__m256& value) { asm volatile("" : "+x"(value)); }
  static void hide(__m256i& value) { asm volatile("" : "+x"(value)); }
};

}  // namespace
}  // namespace stonechat::avx2
