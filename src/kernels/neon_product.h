// The FP32 product that linear layers and attention share.
//
// Included by neon*.cc only; static, as neon_common.h says.
#pragma once

#include "kernels/neon_common.h"

namespace stonechat::neon {

inline constexpr uint32_t kProductRows = 16;    // outputs of a vector of x: four registers
inline constexpr uint32_t kProductVectors = 4;  // vectors of x at once: 16 sums, 4 weights, 4 of x

template <int kLane, uint32_t kVectors>
[[gnu::always_inline]] static inline void add_column(const float* weights, const float32x4_t (&x)[kVectors],
                                                     float32x4_t (&sum)[kVectors][4]) {
#pragma GCC unroll 4
  for (uint32_t r = 0; r < 4; ++r) {
    const float32x4_t weight = vld1q_f32(weights + r * kLanes);
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kVectors; ++v) sum[v][r] = vfmaq_laneq_f32(sum[v][r], weight, x[v], kLane);
  }
}

// For v < kVectors, i < 16, in the order of k: sums[v][i] = fma(weights[k][i], x[v][k], sums[v][i]), k <
// count. Strides are in floats.
template <uint32_t kVectors>
static inline void add_product(const float* weights, size_t weight_stride, const float* x, size_t x_stride,
                               uint32_t count, float* sums, size_t sum_stride) {
  float32x4_t sum[kVectors][4];
#pragma GCC unroll 8
  for (uint32_t v = 0; v < kVectors; ++v) {
#pragma GCC unroll 4
    for (uint32_t r = 0; r < 4; ++r) sum[v][r] = vld1q_f32(sums + v * sum_stride + r * kLanes);
  }
  uint32_t k = 0;
  for (; k + kLanes <= count; k += kLanes, weights += kLanes * weight_stride) {
    float32x4_t four[kVectors];
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kVectors; ++v) four[v] = vld1q_f32(x + v * x_stride + k);
    add_column<0>(weights, four, sum);
    add_column<1>(weights + weight_stride, four, sum);
    add_column<2>(weights + 2 * weight_stride, four, sum);
    add_column<3>(weights + 3 * weight_stride, four, sum);
  }
  for (; k < count; ++k, weights += weight_stride) {
    float32x4_t one[kVectors];
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kVectors; ++v) one[v] = vdupq_n_f32(x[v * x_stride + k]);
    add_column<0>(weights, one, sum);
  }
#pragma GCC unroll 8
  for (uint32_t v = 0; v < kVectors; ++v) {
#pragma GCC unroll 4
    for (uint32_t r = 0; r < 4; ++r) vst1q_f32(sums + v * sum_stride + r * kLanes, sum[v][r]);
  }
}

// add_product of any number of vectors.
[[maybe_unused]] static void add_products(uint32_t vectors, const float* weights, size_t weight_stride,
                                          const float* x, size_t x_stride, uint32_t count, float* sums,
                                          size_t sum_stride) {
  for (; vectors >= kProductVectors; vectors -= kProductVectors) {
    add_product<kProductVectors>(weights, weight_stride, x, x_stride, count, sums, sum_stride);
    x += kProductVectors * x_stride;
    sums += kProductVectors * sum_stride;
  }
  switch (vectors) {
    case 3:
      return add_product<3>(weights, weight_stride, x, x_stride, count, sums, sum_stride);
    case 2:
      return add_product<2>(weights, weight_stride, x, x_stride, count, sums, sum_stride);
    case 1:
      return add_product<1>(weights, weight_stride, x, x_stride, count, sums, sum_stride);
    default:
      return;
  }
}

}  // namespace stonechat::neon
