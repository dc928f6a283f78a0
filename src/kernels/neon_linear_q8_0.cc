// Q8_0 products with the widening multiplications of Armv8.0.
//
// Two products of a code (-128 .. 127) and an activation's code (-127 .. 127) sum to at most 32,512, which
// fits in 16 bits: SMULL, SMLAL, then SADALP into 32.
#include "kernels/neon_q8_0.h"

namespace stonechat::neon {
namespace {

struct Kernel {
  static constexpr uint32_t kUnitTokens = 1;
  static constexpr uint32_t kUnitBlockCodes = 4 * kBlock;  // each pair of codes four times, once a row
  static constexpr uint32_t kUnitBlockScales = 1;
  static constexpr uint32_t kWideScales = kQ8TileRows;
  static constexpr uint32_t kRun = 2;

  // 16 bytes: columns c, c + 1 of rows 0 .. 3, then columns c + 2, c + 3 of the same. Then rows 4 .. 7.
  static constexpr uint32_t code_offset(uint32_t row, uint32_t col) {
    return col / 4 * 32 + row / 4 * 16 + col % 4 / 2 * 8 + row % 4 * 2 + col % 2;
  }

  static void store_unit(const int8x16_t (&codes)[1][2], const float (&scales)[1], int8_t* out_codes,
                         float* out_scale) {
#pragma GCC unroll 2
    for (uint32_t i = 0; i < 2; ++i, out_codes += 64) {
      const int16x8_t pairs = vreinterpretq_s16_s8(codes[0][i]);
      const int32x4_t low = vreinterpretq_s32_s16(vzip1q_s16(pairs, pairs));
      const int32x4_t high = vreinterpretq_s32_s16(vzip2q_s16(pairs, pairs));
      vst1q_s8(out_codes, vreinterpretq_s8_s32(vzip1q_s32(low, low)));
      vst1q_s8(out_codes + 16, vreinterpretq_s8_s32(vzip2q_s32(low, low)));
      vst1q_s8(out_codes + 32, vreinterpretq_s8_s32(vzip1q_s32(high, high)));
      vst1q_s8(out_codes + 48, vreinterpretq_s8_s32(vzip2q_s32(high, high)));
    }
    *out_scale = scales[0];
  }

  static void widen_scales(const uint16_t* halves, float* out) {
    widen_halves(halves, kQ8TileRows, out);
  }

  // Four rows, four columns, one token.
  static int32x4_t add_four(int32x4_t sum, int8x16_t weights, int8x16_t x) {
    const int16x8_t first = vmull_s8(vget_low_s8(weights), vget_low_s8(x));
    return vpadalq_s16(sum, vmlal_high_s8(first, weights, x));
  }

  template <uint32_t kUnits>
  static void add_blocks(const Q8Piece& piece) noexcept {
    const uint8_t* block = piece.weights + kQ8ScaleBytes;
    const float* wide_scales = piece.wide_scales;
    const int32_t* starts = kSumStarts;
    float32x4_t sum[kUnits][2];
    load_sums(piece, sum);
    for (uint32_t b = 0; b < piece.blocks; ++b, block += kQ8BlockBytes, wide_scales += kWideScales) {
      const int8_t* codes = piece.codes + size_t{b} * kUnitBlockCodes;
      int32x4_t dot[kUnits][2];
#pragma GCC unroll 8
      for (uint32_t u = 0; u < kUnits; ++u) {
        dot[u][0] = load_start(starts);
        dot[u][1] = load_start(starts);
      }
#pragma GCC unroll 8
      for (uint32_t quad = 0; quad < kBlock / 4; ++quad) {
        const auto* weights = reinterpret_cast<const int8_t*>(block) + quad * 32;
        const int8x16_t low = vld1q_s8(weights);
        const int8x16_t high = vld1q_s8(weights + 16);
#pragma GCC unroll 8
        for (uint32_t u = 0; u < kUnits; ++u) {
          const int8x16_t x = vld1q_s8(codes + u * piece.unit_bytes + quad * 16);
          dot[u][0] = add_four(dot[u][0], low, x);
          dot[u][1] = add_four(dot[u][1], high, x);
        }
      }
      const float32x4_t low_scales = vld1q_f32(wide_scales);
      const float32x4_t high_scales = vld1q_f32(wide_scales + kLanes);
#pragma GCC unroll 8
      for (uint32_t u = 0; u < kUnits; ++u) {
        const float scale = piece.scales[u * (piece.unit_bytes / sizeof(float)) + b];
        sum[u][0] = vfmaq_f32(sum[u][0], sum_to_float(dot[u][0]), vmulq_n_f32(low_scales, scale));
        sum[u][1] = vfmaq_f32(sum[u][1], sum_to_float(dot[u][1]), vmulq_n_f32(high_scales, scale));
      }
    }
    store_sums(piece, sum);
  }

  static void outputs(const float* sums, float32x4_t (&out)[1][2]) {
    out[0][0] = vld1q_f32(sums);
    out[0][1] = vld1q_f32(sums + kLanes);
  }

  static void one_token(const uint8_t* block, const int8_t* codes, const float* scales, uint32_t blocks,
                        float32x4_t (&out)[2]) noexcept {
    const int32_t* starts = kSumStarts;
    float32x4_t sum[2] = {vdupq_n_f32(0), vdupq_n_f32(0)};
    for (uint32_t b = 0; b < blocks; ++b, block += kQ8BlockBytes, codes += kUnitBlockCodes) {
      prefetch_weights(block);
      int32x4_t dot[2] = {load_start(starts), load_start(starts)};
      const auto* weights = reinterpret_cast<const int8_t*>(block + kQ8ScaleBytes);
#pragma GCC unroll 8
      for (uint32_t quad = 0; quad < kBlock / 4; ++quad) {
        const int8x16_t x = vld1q_s8(codes + quad * 16);
        dot[0] = add_four(dot[0], vld1q_s8(weights + quad * 32), x);
        dot[1] = add_four(dot[1], vld1q_s8(weights + quad * 32 + 16), x);
      }
      const float16x8_t halves = load_halves(reinterpret_cast<const uint16_t*>(block));
      const float32x4_t low_scales = vmulq_n_f32(vcvt_f32_f16(vget_low_f16(halves)), scales[b]);
      const float32x4_t high_scales = vmulq_n_f32(vcvt_high_f32_f16(halves), scales[b]);
      sum[0] = vfmaq_f32(sum[0], sum_to_float(dot[0]), low_scales);
      sum[1] = vfmaq_f32(sum[1], sum_to_float(dot[1]), high_scales);
    }
    out[0] = sum[0];
    out[1] = sum[1];
  }
};

}  // namespace

constinit const LinearKernels kQ8_0Linear = Q8Linear<Kernel>::kernels();

}  // namespace stonechat::neon
