// VectorKernels::to_norm_codes for Arm: codes of keys, where they are cached, and of the queries that meet
// them.
//
// Included by neon*.cc only.
#pragma once

#include <math.h>

#include "kernels/neon_common.h"

namespace stonechat::neon {

// put(i, codes i .. i + 7) gets the codes; returns their scale.
template <typename Put>
static float put_norm_codes(const float* x, uint32_t count, Put&& put) noexcept {
  float32x4_t most = vdupq_n_f32(0);
  for (uint32_t i = 0; i < count; i += kLanes) most = vmaxq_f32(most, vabsq_f32(vld1q_f32(x + i)));
  const float largest = vmaxvq_f32(most);
  const bool is_zero = largest <= 1e-30F;
  const float to_unit = is_zero ? 0.0F : 1.0F / largest;
  float32x4_t sums[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
  for (uint32_t i = 0; i < count; i += 16) {
    for (uint32_t v = 0; v < 4; ++v) {
      const float32x4_t unit = vmulq_n_f32(vld1q_f32(x + i + v * kLanes), to_unit);
      sums[v] = vfmaq_f32(sums[v], unit, unit);
    }
  }
  const float norm = sqrtf(tree_sum(sums[0], sums[1], sums[2], sums[3]));
  const float to_code = is_zero ? 0.0F : kWordCodes / norm;
  const auto scaled = [&](uint32_t i) {
    return vmulq_n_f32(vmulq_n_f32(vld1q_f32(x + i), to_unit), to_code);
  };
  for (uint32_t i = 0; i < count; i += 8) put(i, round_eight(scaled(i), scaled(i + kLanes)));
  return is_zero ? 0.0F : largest * (norm / kWordCodes);
}

}  // namespace stonechat::neon
