// Attention for Armv8.0: wide codes as 16 bits, multiplied by SMLAL with keys and values that are widened to
// as many, depth by depth.
#include "kernels/neon_attention.h"

namespace stonechat::neon {
namespace {

// What codes of 8 and of 16 bits have in common once they lie as 16 bits.
struct WordProducts {
  static constexpr uint32_t kOutputs = 16;  // four vectors of sums a row

  static void put(uint8_t* codes, uint32_t, uint32_t i, int16x8_t eight) {
    vst1q_s16(reinterpret_cast<int16_t*>(codes) + i, eight);
  }

  template <int kLane, uint32_t kRows>
  [[gnu::always_inline]] static void add_depth(const int16_t* operand, const int16x4_t (&codes)[kRows],
                                               int32x4_t (&sum)[kRows][4]) {
    const int16x8_t low = vld1q_s16(operand);
    const int16x8_t high = vld1q_s16(operand + 8);
#pragma GCC unroll 4
    for (uint32_t r = 0; r < kRows; ++r) {
      sum[r][0] = vmlal_lane_s16(sum[r][0], vget_low_s16(low), codes[r], kLane);
      sum[r][1] = vmlal_high_lane_s16(sum[r][1], low, codes[r], kLane);
      sum[r][2] = vmlal_lane_s16(sum[r][2], vget_low_s16(high), codes[r], kLane);
      sum[r][3] = vmlal_high_lane_s16(sum[r][3], high, codes[r], kLane);
    }
  }

  template <uint32_t kRows, typename Use>
  static void multiply_rows(const int16_t* operand, uint32_t outputs, uint32_t depth, const int16_t* codes,
                            Use&& use) {
    for (uint32_t output = 0; output < outputs; output += kOutputs) {
      int32x4_t sum[kRows][4];
#pragma GCC unroll 4
      for (uint32_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
        for (uint32_t v = 0; v < 4; ++v) sum[r][v] = vdupq_n_s32(0);
      }
      const int16_t* from = operand + output;
      for (uint32_t k = 0; k < depth; k += 4, from += size_t{4} * outputs) {
        int16x4_t four[kRows];
#pragma GCC unroll 4
        for (uint32_t r = 0; r < kRows; ++r) four[r] = vld1_s16(codes + size_t{r} * depth + k);
        add_depth<0>(from, four, sum);
        add_depth<1>(from + outputs, four, sum);
        add_depth<2>(from + size_t{2} * outputs, four, sum);
        add_depth<3>(from + size_t{3} * outputs, four, sum);
      }
#pragma GCC unroll 4
      for (uint32_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
        for (uint32_t v = 0; v < 4; ++v) use(r, output + v * kLanes, sum[r][v]);
      }
    }
  }

  template <typename Use>
  static void multiply(const void* operand, uint32_t outputs, uint32_t depth, uint32_t rows,
                       const uint8_t* codes, int32_t*, Use&& use) noexcept {
    for_vectors<4>(rows, [&]<uint32_t kRows>(uint32_t first) {
      multiply_rows<kRows>(static_cast<const int16_t*>(operand), outputs, depth,
                           reinterpret_cast<const int16_t*>(codes) + size_t{first} * depth,
                           [&](uint32_t r, uint32_t output, int32x4_t dot) { use(first + r, output, dot); });
    });
  }
};

struct WordDots : WordCodes, WordProducts {
  // As [depth][output].
  static const void* operand(const int16_t* tile, uint32_t outputs, uint32_t depth, void* area) {
    auto* out = static_cast<int16_t*>(area);
    for (uint32_t k = 0; k < depth; k += 2) {
      for (uint32_t output = 0; output < outputs; output += 8) {
        const int16x8x2_t by_depth = vld2q_s16(tile + size_t{k} * outputs + size_t{2} * output);
        vst1q_s16(out + size_t{k} * outputs + output, by_depth.val[0]);
        vst1q_s16(out + size_t{k + 1} * outputs + output, by_depth.val[1]);
      }
    }
    return area;
  }
};

struct Dots : FineCodes, WordProducts {
  using Words = WordDots;

  // As [depth][output].
  static const void* operand(const int8_t* tile, uint32_t outputs, uint32_t depth, void* area) {
    auto* wide = static_cast<int16_t*>(area);
    for (uint32_t k = 0; k < depth; k += 4) {
      for (uint32_t output = 0; output < outputs; output += 16) {
        const int8x16x4_t by_depth = vld4q_s8(tile + (size_t{k} * outputs + size_t{4} * output));
        for (uint32_t i = 0; i < 4; ++i) {
          int16_t* out = wide + size_t{k + i} * outputs + output;
          vst1q_s16(out, vmovl_s8(vget_low_s8(by_depth.val[i])));
          vst1q_s16(out + 8, vmovl_high_s8(by_depth.val[i]));
        }
      }
    }
    return area;
  }
};

}  // namespace

constinit const AttentionKernels kAttention = NeonAttention<Dots>::kernels();

}  // namespace stonechat::neon
