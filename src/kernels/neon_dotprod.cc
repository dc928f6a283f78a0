// The table for Arm with SDOT: Q8_0 products; the rest is that of neon.
#include "base/cpu_feature_bits.h"
#include "kernels/neon_limits.h"
#include "kernels/neon_q8_0.h"
#include "kernels/tables.h"

namespace stonechat {
namespace neon {
namespace {

struct Kernel {
  static constexpr uint32_t kUnitTokens = 1;
  static constexpr uint32_t kUnitBlockCodes = kBlock;
  static constexpr uint32_t kUnitBlockScales = 1;
  static constexpr uint32_t kWideScales = kQ8TileRows;
  static constexpr uint32_t kRun = 4;

  // Four consecutive columns of each of the 8 rows, then the next four.
  static constexpr uint32_t code_offset(uint32_t row, uint32_t col) {
    return col / 4 * 32 + row * 4 + col % 4;
  }

  static void store_unit(const int8x16_t (&codes)[1][2], const float (&scales)[1], int8_t* out_codes,
                         float* out_scale) {
    vst1q_s8(out_codes, codes[0][0]);
    vst1q_s8(out_codes + 16, codes[0][1]);
    *out_scale = scales[0];
  }

  static void widen_scales(const uint16_t* halves, float* out) { widen_halves(halves, kQ8TileRows, out); }

  // Columns 4 kLane .. of 16: two vectors of weights, each with the lane of each token's codes.
  template <int kLane, uint32_t kUnits>
  [[gnu::always_inline]] static void add_quad(const int8_t* weights, const int8x16_t (&x)[kUnits],
                                              int32x4_t (&dot)[kUnits][2]) {
    const int8x16_t low = vld1q_s8(weights + kLane * 32);
    const int8x16_t high = vld1q_s8(weights + kLane * 32 + 16);
#pragma GCC unroll 8
    for (uint32_t u = 0; u < kUnits; ++u) {
      dot[u][0] = vdotq_laneq_s32(dot[u][0], low, x[u], kLane);
      dot[u][1] = vdotq_laneq_s32(dot[u][1], high, x[u], kLane);
    }
  }

  template <uint32_t kUnits>
  [[gnu::always_inline]] static void add_half(const int8_t* weights, const int8_t* codes, size_t unit_bytes,
                                              int32x4_t (&dot)[kUnits][2]) {
    int8x16_t x[kUnits];
#pragma GCC unroll 8
    for (uint32_t u = 0; u < kUnits; ++u) x[u] = vld1q_s8(codes + u * unit_bytes);
    add_quad<0>(weights, x, dot);
    add_quad<1>(weights, x, dot);
    add_quad<2>(weights, x, dot);
    add_quad<3>(weights, x, dot);
  }

  template <uint32_t kUnits>
  static void add_blocks(const Q8Piece& piece) noexcept {
    const auto* weights = reinterpret_cast<const int8_t*>(piece.weights) + kQ8ScaleBytes;
    const float* wide_scales = piece.wide_scales;
    const int8_t* codes = piece.codes;
    const int32_t* starts = kSumStarts;
    float32x4_t sum[kUnits][2];
    load_sums(piece, sum);
    for (uint32_t b = 0; b < piece.blocks; ++b) {
      int32x4_t dot[kUnits][2];
#pragma GCC unroll 8
      for (uint32_t u = 0; u < kUnits; ++u) {
        dot[u][0] = load_start(starts);
        dot[u][1] = load_start(starts);
      }
      add_half(weights, codes, piece.unit_bytes, dot);
      add_half(weights + 128, codes + 16, piece.unit_bytes, dot);
      const float32x4_t low_scales = vld1q_f32(wide_scales);
      const float32x4_t high_scales = vld1q_f32(wide_scales + kLanes);
#pragma GCC unroll 8
      for (uint32_t u = 0; u < kUnits; ++u) {
        const float scale = piece.scales[u * (piece.unit_bytes / sizeof(float)) + b];
        sum[u][0] = vfmaq_f32(sum[u][0], sum_to_float(dot[u][0]), vmulq_n_f32(low_scales, scale));
        sum[u][1] = vfmaq_f32(sum[u][1], sum_to_float(dot[u][1]), vmulq_n_f32(high_scales, scale));
      }
      weights += kQ8BlockBytes;
      wide_scales += kWideScales;
      codes += kUnitBlockCodes;
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
      int32x4_t dot[1][2] = {{load_start(starts), load_start(starts)}};
      const auto* weights = reinterpret_cast<const int8_t*>(block + kQ8ScaleBytes);
      add_half(weights, codes, 0, dot);
      add_half(weights + 128, codes + 16, 0, dot);
      const float16x8_t halves = load_halves(reinterpret_cast<const uint16_t*>(block));
      const float32x4_t low_scales = vmulq_n_f32(vcvt_f32_f16(vget_low_f16(halves)), scales[b]);
      const float32x4_t high_scales = vmulq_n_f32(vcvt_high_f32_f16(halves), scales[b]);
      sum[0] = vfmaq_f32(sum[0], sum_to_float(dot[0][0]), low_scales);
      sum[1] = vfmaq_f32(sum[1], sum_to_float(dot[0][1]), high_scales);
    }
    out[0] = sum[0];
    out[1] = sum[1];
  }
};

constinit const LinearKernels kQ8_0LinearDotprod = Q8Linear<Kernel>::kernels();

struct Operations : LimitOperations {
  static constexpr uint32_t kProducts = 16;
  static int32x4_t add_products(int32x4_t sum, int8x16_t a, int8x16_t b) { return vdotq_s32(sum, a, b); }
};

constinit const LimitKernels kLimitsDotprod = SimdLimits<Operations>::kernels();

}  // namespace
}  // namespace neon

constinit const KernelTable kNeonDotprodKernels = {
    "neon_dotprod",
    kCpuNeon | kCpuNeonDotprod,
    {nullptr, nullptr, nullptr, &neon::kQ8_0LinearDotprod},
    nullptr,
    nullptr,
    nullptr,
    &neon::kLimitsDotprod,
};

}  // namespace stonechat
