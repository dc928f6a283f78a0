// Norm, rotation, SiLU and conversion, 4 or 16 values at a time.
#include <math.h>

#include "kernels/neon_common.h"
#include "kernels/neon_norm_codes.h"

namespace stonechat::neon {
namespace {

// Of x, or of x * kNormShrink.
template <bool kShrinks>
float sum_of_squares(const float* x, uint32_t cols) noexcept {
  float32x4_t squares[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
  for (uint32_t i = 0; i < cols; i += 16) {
#pragma GCC unroll 4
    for (uint32_t v = 0; v < 4; ++v) {
      float32x4_t values = vld1q_f32(x + i + v * kLanes);
      if constexpr (kShrinks) values = vmulq_n_f32(values, kNormShrink);
      squares[v] = vfmaq_f32(squares[v], values, values);
    }
  }
  return tree_sum(squares[0], squares[1], squares[2], squares[3]);
}

void rms_norm(const float* x, const float* weight, float epsilon, uint32_t cols, float* out) noexcept {
  const float sum = sum_of_squares<false>(x, cols);
  const float32x4_t scale =
      vdupq_n_f32(isinf(sum) ? kNormShrink / sqrtf(sum_of_squares<true>(x, cols) / static_cast<float>(cols))
                             : 1.0F / sqrtf(sum / static_cast<float>(cols) + epsilon));
  for (uint32_t i = 0; i < cols; i += kLanes) {
    vst1q_f32(out + i, vmulq_f32(vmulq_f32(vld1q_f32(x + i), scale), vld1q_f32(weight + i)));
  }
}

void rope(float* x, uint32_t heads, uint32_t head_dim, const float* cosine, const float* sine) noexcept {
  const uint32_t half = head_dim / 2;
  for (uint32_t head = 0; head < heads; ++head, x += head_dim) {
    for (uint32_t i = 0; i < half; i += kLanes) {
      const float32x4_t a = vld1q_f32(x + i);
      const float32x4_t b = vld1q_f32(x + half + i);
      const float32x4_t c = vld1q_f32(cosine + i);
      const float32x4_t s = vld1q_f32(sine + i);
      vst1q_f32(x + i, vsubq_f32(vmulq_f32(a, c), vmulq_f32(b, s)));
      vst1q_f32(x + half + i, vaddq_f32(vmulq_f32(b, c), vmulq_f32(a, s)));
    }
  }
}

// The transform of 4 values.
float32x4_t hadamard_four(float32x4_t v) {
  const uint32x4_t odd = {0, ~0U, 0, ~0U};
  const uint32x4_t upper = {0, 0, ~0U, ~0U};
  float32x4_t swapped = vrev64q_f32(v);
  v = vbslq_f32(odd, vsubq_f32(swapped, v), vaddq_f32(v, swapped));
  swapped = vextq_f32(v, v, 2);
  return vbslq_f32(upper, vsubq_f32(swapped, v), vaddq_f32(v, swapped));
}

void hadamard(float* x, uint32_t heads, uint32_t head_dim) noexcept {
  const uint32_t run = hadamard_run(head_dim);
  for (float* end = x + size_t{heads} * head_dim; x != end; x += run) {
    for (uint32_t i = 0; i < run; i += kLanes) vst1q_f32(x + i, hadamard_four(vld1q_f32(x + i)));
    for (uint32_t stride = kLanes; stride < run; stride *= 2) {
      for (uint32_t i = 0; i < run; i += 2 * stride) {
        for (uint32_t j = i; j < i + stride; j += kLanes) {
          const float32x4_t a = vld1q_f32(x + j);
          const float32x4_t b = vld1q_f32(x + j + stride);
          vst1q_f32(x + j, vaddq_f32(a, b));
          vst1q_f32(x + j + stride, vsubq_f32(a, b));
        }
      }
    }
  }
}

void silu_multiply(const float* gate_up, uint32_t count, float* out) noexcept {
  for (uint32_t i = 0; i < count; i += 4 * kLanes) {
    const float* gate = gate_up + i / kBlock * 2 * kBlock + i % kBlock;
    float32x4_t divisor[4];
#pragma GCC unroll 4
    for (uint32_t v = 0; v < 4; ++v) divisor[v] = vld1q_f32(gate + v * kLanes);
    one_plus_exp_of_minus(divisor);
#pragma GCC unroll 4
    for (uint32_t v = 0; v < 4; ++v) {
      const float* at = gate + v * kLanes;
      const float32x4_t silu = vdivq_f32(vld1q_f32(at), divisor[v]);
      vst1q_f32(out + i + v * kLanes, vmulq_f32(silu, vld1q_f32(at + kBlock)));
    }
  }
}

void to_half(const float* x, uint32_t count, uint16_t* out) noexcept {
  for (uint32_t i = 0; i < count; i += 2 * kLanes) {
    const float16x4_t low = vcvt_f16_f32(vld1q_f32(x + i));
    vst1q_u16(out + i, vreinterpretq_u16_f16(vcvt_high_f16_f32(low, vld1q_f32(x + i + kLanes))));
  }
}

float to_norm_codes(const float* x, uint32_t count, int16_t* codes) noexcept {
  return put_norm_codes(x, count, [&](uint32_t i, int16x8_t eight) { vst1q_s16(codes + i, eight); });
}

}  // namespace

constinit const VectorKernels kVector = {rms_norm, rope, hadamard, silu_multiply, to_half, to_norm_codes};

}  // namespace stonechat::neon
