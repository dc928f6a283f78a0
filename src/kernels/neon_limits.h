// What SimdLimits needs besides integer products, with NEON; included by sources that have NEON and more.
#pragma once

#include "kernels/neon_common.h"
#include "kernels/simd_limits.h"

namespace stonechat::neon {
namespace {

struct LimitOperations {
  using Floats = float32x4_t;
  using Integers = int32x4_t;
  using Codes = int8x16_t;
  static constexpr uint32_t kIntegerSums = 16;
  static constexpr uint32_t kFloatSums = 16;

  static int8x16_t codes(int8_t value) { return vdupq_n_s8(value); }
  static float32x4_t broadcast(float value) { return vdupq_n_f32(value); }
  static float32x4_t fma(float32x4_t a, float32x4_t b, float32x4_t sum) { return vfmaq_f32(sum, a, b); }
  static void hide(float32x4_t& value) { asm volatile("" : "+w"(value)); }
  static void hide(int8x16_t& value) { asm volatile("" : "+w"(value)); }
};

}  // namespace
}  // namespace stonechat::neon
