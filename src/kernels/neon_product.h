// The FP32 product that linear layers and attention share.
//
// Included by neon*.cc only; static, as neon_common.h says.
#pragma once

#include "kernels/neon_common.h"

namespace stonechat::neon {

// Vectors of x at once, whose sums, with one of x each and with weights, fit the registers.
inline constexpr uint32_t kProductVectors = 4;
inline constexpr uint32_t kHalfProductVectors = 8;  // with weights that are widened on the way
// Outputs of a vector of x at once, in fours.
template <uint32_t kVectors>
inline constexpr uint32_t kProductFours = kVectors > kProductVectors ? 2 : 4;
inline constexpr uint32_t kProductRows = kProductFours<1> * kLanes;

[[gnu::always_inline]] static inline float32x4x2_t load_eight(const float* weights) {
  return {{vld1q_f32(weights), vld1q_f32(weights + kLanes)}};
}
[[gnu::always_inline]] static inline float32x4x2_t load_eight(const uint16_t* weights) {
  const float16x8_t halves = load_halves(weights);
  return {{vcvt_f32_f16(vget_low_f16(halves)), vcvt_high_f32_f16(halves)}};
}

template <int kLane, typename Weight, uint32_t kVectors, uint32_t kFours>
[[gnu::always_inline]] static inline void add_column(const Weight* weights, const float32x4_t (&x)[kVectors],
                                                     float32x4_t (&sum)[kVectors][kFours]) {
#pragma GCC unroll 2
  for (uint32_t i = 0; i < kFours; i += 2) {
    const float32x4x2_t eight = load_eight(weights + i * kLanes);
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kVectors; ++v) sum[v][i] = vfmaq_laneq_f32(sum[v][i], eight.val[0], x[v], kLane);
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kVectors; ++v)
      sum[v][i + 1] = vfmaq_laneq_f32(sum[v][i + 1], eight.val[1], x[v], kLane);
  }
}

// For v < kVectors, i < 4 kProductFours: sum = begin(v, i); for k < count, in order: sum = fma(weights[k][i],
// x[v][k], sum); end(v, i, sum), each for four i at once. Weights are floats or binary16. Strides are in
// numbers.
template <uint32_t kVectors, typename Weight, typename Begin, typename End>
[[gnu::always_inline]] static inline void multiply_vectors(const Weight* weights, size_t weight_stride,
                                                           const float* x, size_t x_stride, uint32_t count,
                                                           Begin&& begin, End&& end) {
  constexpr uint32_t kFours = kProductFours<kVectors>;
  float32x4_t sum[kVectors][kFours];
#pragma GCC unroll 8
  for (uint32_t v = 0; v < kVectors; ++v) {
#pragma GCC unroll 4
    for (uint32_t i = 0; i < kFours; ++i) {
      sum[v][i] = begin(v, i * kLanes);
      asm("" : "+w"(sum[v][i]));  // else sums that start alike share a register, and are copied in the loop
    }
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
    for (uint32_t i = 0; i < kFours; ++i) end(v, i * kLanes, sum[v][i]);
  }
}

// Calls body.operator()<vectors>(first) for all `count` vectors: kMost at once, then what is left.
template <uint32_t kMost, typename Body>
[[gnu::always_inline]] static inline void for_vectors(uint32_t count, Body&& body, uint32_t first = 0) {
  for (; count - first >= kMost; first += kMost) body.template operator()<kMost>(first);
  if constexpr (kMost > 1) {
    if (first < count) for_vectors<kMost - 1>(count, body, first);
  }
}

}  // namespace stonechat::neon
