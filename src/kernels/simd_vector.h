// Norm, rotation, SiLU and conversion, for any width of vectors. `Simd` as in simd_attention.h.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_table.h"
#include "kernels/simd_norm_codes.h"
#include "kernels/simd_reduce.h"

namespace stonechat {

template <typename Simd>
class SimdVector {
 public:
  static constexpr VectorKernels kernels() {
    return {rms_norm, rope, hadamard, silu_multiply, to_half, put_norm_codes<Simd>};
  }

 private:
  using Vector = typename Simd::Vector;
  static constexpr uint32_t kLanes = Simd::kLanes;

  static void rms_norm(const float* x, const float* weight, float epsilon, uint32_t cols,
                       float* out) noexcept {
    const float sum = sum_of_squares<false>(x, cols);
    const Vector scale = Simd::broadcast(
        isinf(sum) ? kNormShrink / sqrtf(sum_of_squares<true>(x, cols) / static_cast<float>(cols))
                   : 1.0F / sqrtf(sum / static_cast<float>(cols) + epsilon));
    for (uint32_t i = 0; i < cols; i += kLanes) {
      const Vector scaled = Simd::multiply(Simd::load(x + i), scale);
      Simd::store(out + i, Simd::multiply(scaled, Simd::load(weight + i)));
    }
  }

  static void rope(float* x, uint32_t heads, uint32_t head_dim, const float* cosine,
                   const float* sine) noexcept {
    const uint32_t half = head_dim / 2;
    for (uint32_t head = 0; head < heads; ++head, x += head_dim) {
      for (uint32_t i = 0; i < half; i += kLanes) {
        const Vector a = Simd::load(x + i);
        const Vector b = Simd::load(x + half + i);
        const Vector c = Simd::load(cosine + i);
        const Vector s = Simd::load(sine + i);
        Simd::store(x + i, Simd::subtract(Simd::multiply(a, c), Simd::multiply(b, s)));
        Simd::store(x + half + i, Simd::add(Simd::multiply(b, c), Simd::multiply(a, s)));
      }
    }
  }

  static void hadamard(float* x, uint32_t heads, uint32_t head_dim) noexcept {
    const uint32_t run = hadamard_run(head_dim);
    for (float* end = x + size_t{heads} * head_dim; x != end; x += run) {
      for (uint32_t i = 0; i < run; i += kLanes) Simd::store(x + i, Simd::hadamard(Simd::load(x + i)));
      for (uint32_t stride = kLanes; stride < run; stride *= 2) {
        for (uint32_t i = 0; i < run; i += 2 * stride) {
          for (uint32_t j = i; j < i + stride; j += kLanes) {
            const Vector a = Simd::load(x + j);
            const Vector b = Simd::load(x + j + stride);
            Simd::store(x + j, Simd::add(a, b));
            Simd::store(x + j + stride, Simd::subtract(a, b));
          }
        }
      }
    }
  }

  static void silu_multiply(const float* gate_up, uint32_t count, float* out) noexcept {
    const Vector one = Simd::broadcast(1.0F);
    for (uint32_t first = 0; first < count; first += kBlock, gate_up += 2 * kBlock) {
      for (uint32_t i = 0; i < kBlock; i += kLanes) {
        const Vector gate = Simd::load(gate_up + i);
        const Vector silu = Simd::divide(gate, Simd::add(one, exp_shared(Simd::negate(gate))));
        Simd::store(out + first + i, Simd::multiply(silu, Simd::load(gate_up + kBlock + i)));
      }
    }
  }

  static void to_half(const float* x, uint32_t count, uint16_t* out) noexcept {
    for (uint32_t i = 0; i < count; i += kLanes) Simd::store_half(out + i, Simd::load(x + i));
  }

  // exp() as VectorKernels states it.
  static Vector exp_shared(Vector x) noexcept {
    const Vector most = Simd::smaller(x, Simd::broadcast(88.0F));
    const Vector rounded =
        Simd::add(Simd::multiply(most, Simd::broadcast(kLog2E)), Simd::broadcast(kRounder));
    const Vector n = Simd::subtract(rounded, Simd::broadcast(kRounder));
    Vector r = Simd::fma(n, Simd::broadcast(-kLn2High), most);
    r = Simd::fma(n, Simd::broadcast(-kLn2Low), r);
    Vector p = Simd::broadcast(kExpCoefficients[0]);
    for (int i = 1; i < 8; ++i) p = Simd::fma(p, r, Simd::broadcast(kExpCoefficients[i]));
    return Simd::times_power(p, rounded, x, -87.0F);
  }

  // Of x, or of x * kNormShrink.
  template <bool kShrinks>
  static float sum_of_squares(const float* x, uint32_t cols) noexcept {
    return tree_of_16_sums<Simd>(cols, [&](uint32_t i, Vector sum) {
      Vector values = Simd::load(x + i);
      if constexpr (kShrinks) values = Simd::multiply(values, Simd::broadcast(kNormShrink));
      return Simd::fma(values, values, sum);
    });
  }
};

}  // namespace stonechat
