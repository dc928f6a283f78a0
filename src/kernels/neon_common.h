// What the Arm sources share: their tables' groups, exp(), sums, widening and the store of outputs.
//
// Included by neon*.cc only. All functions of these headers are static, or members of types that belong to
// one source, so that each source has its own copy and none that was compiled for a newer processor can take
// another's place.
#pragma once

#include <arm_neon.h>
#include <string.h>

#include "kernels/kernel_table.h"

namespace stonechat::neon {

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

inline constexpr uint32_t kLanes = 4;
// How far ahead of its use each stream asks for weights, into the first-level cache: what x86 took once. No
// Arm machine has been measured.
inline constexpr uint32_t kPrefetchBytes = 2048;

[[maybe_unused]] static constexpr size_t round_up_64(size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

// binary16 as stored; the conversion is part of Armv8.0.
[[maybe_unused]] static inline float16x8_t load_halves(const uint16_t* halves) {
  return vreinterpretq_f16_u16(vld1q_u16(halves));
}

[[maybe_unused]] static inline float widen_half(uint16_t bits) {
  float16_t half;
  memcpy(&half, &bits, sizeof half);
  return static_cast<float>(half);
}

// Widens `count` binary16 numbers, a multiple of 8.
[[maybe_unused]] static inline void widen_halves(const uint16_t* halves, uint32_t count, float* out) {
  for (uint32_t i = 0; i < count; i += 8) {
    const float16x8_t eight = load_halves(halves + i);
    vst1q_f32(out + i, vcvt_f32_f16(vget_low_f16(eight)));
    vst1q_f32(out + i + 4, vcvt_high_f32_f16(eight));
  }
}

// Makes the compiler forget where a pointer points, so that it reads a constant from memory again instead of
// copying the register that holds it: loads have units of their own, a copy takes the turn of a product.
template <typename T>
[[maybe_unused, gnu::always_inline]] static inline void hide(const T*& pointer) {
  asm volatile("" : "+r"(pointer));
}

// What integer sums start at.
alignas(16) static constexpr int32_t kZeroStarts[kLanes] = {};
[[maybe_unused, gnu::always_inline]] static inline int32x4_t load_start(const int32_t*& starts) {
  hide(starts);
  return vld1q_s32(starts);
}

// All coefficients of a polynomial but the first, each four times.
template <uint32_t kSteps>
struct Coefficients {
  alignas(16) float value[kSteps][kLanes];
};
template <uint32_t kCount>
static constexpr Coefficients<kCount - 1> all_but_first(const float (&coefficients)[kCount]) {
  Coefficients<kCount - 1> vectors = {};
  for (uint32_t i = 0; i + 1 < kCount; ++i) {
    for (uint32_t lane = 0; lane < kLanes; ++lane) vectors.value[i][lane] = coefficients[i + 1];
  }
  return vectors;
}
[[maybe_unused]] static constexpr auto kExpVectors = all_but_first(kExpCoefficients);
[[maybe_unused]] static constexpr auto kExp2Vectors = all_but_first(kExp2Coefficients);

// x = polynomial(x) * 2^n, or that of -x, where n + kRounder is given. Step by step for all vectors, because
// one vector's steps wait for each other.
template <bool kNegates, uint32_t kSteps, uint32_t kCount>
[[gnu::always_inline]] static inline void multiply_powers(float first, const Coefficients<kSteps>& others,
                                                          const float32x4_t (&rounded)[kCount],
                                                          float32x4_t (&x)[kCount]) {
  float32x4_t p[kCount];
#pragma GCC unroll 8
  for (uint32_t i = 0; i < kCount; ++i) p[i] = vdupq_n_f32(first);
  const float* coefficients = others.value[0];
#pragma GCC unroll 8
  for (uint32_t c = 0; c < kSteps; ++c) {
#pragma GCC unroll 8
    for (uint32_t i = 0; i < kCount; ++i) {
      hide(coefficients);
      const float32x4_t coefficient = vld1q_f32(coefficients + c * kLanes);
      p[i] = kNegates ? vfmsq_f32(coefficient, p[i], x[i]) : vfmaq_f32(coefficient, p[i], x[i]);
    }
  }
#pragma GCC unroll 8
  for (uint32_t i = 0; i < kCount; ++i) {
    // Added where p has its exponent, n multiplies p by 2^n.
    const uint32x4_t exponent = vshlq_n_u32(vreinterpretq_u32_f32(rounded[i]), 23);
    x[i] = vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(p[i]), exponent));
  }
}

// 1 + exp(-x) as VectorKernels states it, of kCount vectors in place. All signs but the result's are turned
// round, which is exact. Beyond 87 exp(-x) is what it is there: too little to count.
template <uint32_t kCount>
[[gnu::always_inline]] static inline void one_plus_exp_of_minus(float32x4_t (&x)[kCount]) {
  float32x4_t rounded[kCount];
#pragma GCC unroll 8
  for (uint32_t i = 0; i < kCount; ++i) {
    x[i] = vminq_f32(vmaxq_f32(x[i], vdupq_n_f32(-88.0F)), vdupq_n_f32(87.0F));
    rounded[i] = vaddq_f32(vmulq_f32(x[i], vdupq_n_f32(-kLog2E)), vdupq_n_f32(kRounder));
  }
#pragma GCC unroll 8
  for (uint32_t i = 0; i < kCount; ++i) {
    const float32x4_t n = vsubq_f32(rounded[i], vdupq_n_f32(kRounder));
    x[i] = vfmaq_f32(x[i], n, vdupq_n_f32(kLn2High));
    x[i] = vfmaq_f32(x[i], n, vdupq_n_f32(kLn2Low));
  }
  multiply_powers<true>(kExpCoefficients[0], kExpVectors, rounded, x);
#pragma GCC unroll 8
  for (uint32_t i = 0; i < kCount; ++i) x[i] = vaddq_f32(vdupq_n_f32(1.0F), x[i]);
}

// exp2() as AttentionKernels states it, of kCount vectors in place.
template <uint32_t kCount>
[[gnu::always_inline]] static inline void exp2_shared(float32x4_t (&x)[kCount]) {
  uint32x4_t is_tiny[kCount];
  float32x4_t rounded[kCount];
#pragma GCC unroll 8
  for (uint32_t i = 0; i < kCount; ++i) {
    is_tiny[i] = vcltq_f32(x[i], vdupq_n_f32(-125.0F));
    rounded[i] = vaddq_f32(x[i], vdupq_n_f32(kRounder));
    x[i] = vsubq_f32(x[i], vsubq_f32(rounded[i], vdupq_n_f32(kRounder)));
  }
  multiply_powers<false>(kExp2Coefficients[0], kExp2Vectors, rounded, x);
#pragma GCC unroll 8
  for (uint32_t i = 0; i < kCount; ++i)
    x[i] = vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(x[i]), is_tiny[i]));
}

// Eight values of less than 2^15, each rounded to the nearest even integer.
[[maybe_unused]] static inline int16x8_t round_eight(float32x4_t low, float32x4_t high) {
  const float32x4_t rounder = vdupq_n_f32(kRounder);
  return vuzp1q_s16(vreinterpretq_s16_f32(vaddq_f32(low, rounder)),
                    vreinterpretq_s16_f32(vaddq_f32(high, rounder)));
}

// tree() of 16 values: halves added until one is left.
[[maybe_unused]] static inline float tree_sum(float32x4_t a, float32x4_t b, float32x4_t c, float32x4_t d) {
  const float32x4_t four = vaddq_f32(vaddq_f32(a, c), vaddq_f32(b, d));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

// Stores the outputs of rows [row, row + 4) of one token, those below end_row only.
[[maybe_unused]] static inline void store_outputs(const LinearJob* job, uint32_t token, uint32_t row,
                                                  float32x4_t value) {
  float* out = job->out + (token - job->first_token) * job->out_stride + (row - job->first_row);
  if (row + kLanes <= job->end_row) {
    if (job->bias != nullptr) value = vaddq_f32(value, vld1q_f32(job->bias + row));
    if (job->add_to_out) value = vaddq_f32(vld1q_f32(out), value);
    vst1q_f32(out, value);
    return;
  }
  float values[kLanes];
  vst1q_f32(values, value);
  for (uint32_t i = 0; row + i < job->end_row; ++i) {
    const float biased = job->bias != nullptr ? values[i] + job->bias[row + i] : values[i];
    out[i] = job->add_to_out ? out[i] + biased : biased;
  }
}

}  // namespace stonechat::neon
