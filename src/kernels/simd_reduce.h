// What rows of floats come to, for any width of vectors: reductions that kernel_table.h states and several
// kernels do.
//
// `Simd` (avx2_parts.h, avx512_parts.h) gives the vectors; its types belong to one instruction set, so every
// instance of these templates does too.
#pragma once

#include <stdint.h>

#include "kernels/kernel_table.h"

namespace stonechat {

// The largest magnitude of `count` values, a multiple of 16 and not 0.
template <typename Simd>
[[gnu::always_inline]] inline float largest_magnitude(const float* values, uint32_t count) noexcept {
  typename Simd::Vector most = Simd::magnitude(Simd::load(values));
  for (uint32_t i = Simd::kLanes; i < count; i += Simd::kLanes)
    most = Simd::larger(most, Simd::magnitude(Simd::load(values + i)));
  return Simd::largest(most);
}

// tree() of 16 sums t[i % 16] = add(i, t[i % 16]), i = 0 .. count - 1, as many i at once as a vector has
// lanes; `count` is a multiple of 16.
template <typename Simd, typename Add>
[[gnu::always_inline]] inline float tree_of_16_sums(uint32_t count, Add&& add) noexcept {
  constexpr uint32_t kVectors = 16 / Simd::kLanes;
  typename Simd::Vector sum[kVectors];
  for (uint32_t v = 0; v < kVectors; ++v) sum[v] = Simd::broadcast(0);
  for (uint32_t i = 0; i < count; i += 16) {
    for (uint32_t v = 0; v < kVectors; ++v) sum[v] = add(i + v * Simd::kLanes, sum[v]);
  }
  for (uint32_t half = kVectors / 2; half > 0; half /= 2) {
    for (uint32_t v = 0; v < half; ++v) sum[v] = Simd::add(sum[v], sum[v + half]);
  }
  return Simd::tree_sum(sum[0]);
}

}  // namespace stonechat
