// What `Dots` of neon_attention.h have in common that multiply bytes: a wide code is high * 128 + low, two
// digits of 8 bits whose products are summed apart.
//
// Included by neon*.cc only.
#pragma once

#include "kernels/neon_attention.h"

namespace stonechat::neon {

// Dots, which derives from this, gives
//   multiply_rows<count>(operand, outputs, depth, codes, out)    multiply() for 1 or kRows rows
template <typename Dots>
struct AttentionDigits {
  static constexpr uint32_t kRows = 2;  // whose sums fit the registers: 16 vectors, both digits of kOutputs
  static constexpr uint32_t kOutputs = 16;

  static void put_digits(int32x4_t four, uint8_t* high_digits, uint8_t* low_digits) {
    const int32x4_t high = vshrq_n_s32(vaddq_s32(four, vdupq_n_s32(64)), 7);
    const int32x4_t low = vsubq_s32(four, vshlq_n_s32(high, 7));
    const int8x8_t digits = vmovn_s16(vcombine_s16(vmovn_s32(high), vmovn_s32(low)));
    const uint32_t high_bits = vget_lane_u32(vreinterpret_u32_s8(digits), 0);
    const uint32_t low_bits = vget_lane_u32(vreinterpret_u32_s8(digits), 1);
    memcpy(high_digits, &high_bits, sizeof high_bits);
    memcpy(low_digits, &low_bits, sizeof low_bits);
  }

  static int32x4_t join_sums(int32x4_t high, int32x4_t low) { return vaddq_s32(vshlq_n_s32(high, 7), low); }

  static void multiply(const void* operand, uint32_t outputs, uint32_t depth, uint32_t rows,
                       const uint8_t* codes, int32_t* out) noexcept {
    const auto* tile = static_cast<const int8_t*>(operand);
    const auto* digits = reinterpret_cast<const int8_t*>(codes);
    for (; rows >= kRows; rows -= kRows, digits += size_t{2} * kRows * depth, out += size_t{kRows} * outputs)
      Dots::template multiply_rows<kRows>(tile, outputs, depth, digits, out);
    if (rows == 1) Dots::template multiply_rows<1>(tile, outputs, depth, digits, out);
  }
};

}  // namespace stonechat::neon
