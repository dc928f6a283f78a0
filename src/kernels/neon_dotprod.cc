// The table for Arm with SDOT: products with integer codes, of weights and of the cache; the rest is that of
// neon.
#include "base/cpu_feature_bits.h"
#include "kernels/neon_attention_digits.h"
#include "kernels/neon_limits.h"
#include "kernels/neon_linear_codes.h"
#include "kernels/tables.h"

namespace stonechat {
namespace neon {
namespace {

struct Kernel : OneTokenUnits {
  static constexpr uint32_t kUnitBlockCodes = kBlock;
  static constexpr uint32_t kRun = 4;

  // Four consecutive columns of each of the 8 rows, then the next four.
  static constexpr uint32_t code_offset(uint32_t row, uint32_t col) {
    return col / 4 * 32 + row * 4 + col % 4;
  }

  static void store_unit(const int8x16_t (&codes)[1][2], float32x4_t scales, int8_t* out_codes,
                         float* out_scale) {
    vst1q_s8(out_codes, codes[0][0]);
    vst1q_s8(out_codes + 16, codes[0][1]);
    *out_scale = vgetq_lane_f32(scales, 0);
  }

  // Columns 4 kLane .. of half a block: two vectors of weights, each with the lane of each token's codes.
  template <typename Codes, int kHalf, int kLane, uint32_t kUnits>
  [[gnu::always_inline]] static void add_quad(const uint8_t* weights, const int8x16_t (&x)[kUnits],
                                              int32x4_t (&dot)[kUnits][2]) {
    const int8x16_t low = Codes::load(weights, kHalf * 8 + kLane * 2);
    const int8x16_t high = Codes::load(weights, kHalf * 8 + kLane * 2 + 1);
#pragma GCC unroll 8
    for (uint32_t u = 0; u < kUnits; ++u) {
      dot[u][0] = vdotq_laneq_s32(dot[u][0], low, x[u], kLane);
      dot[u][1] = vdotq_laneq_s32(dot[u][1], high, x[u], kLane);
    }
  }

  template <typename Codes, int kHalf, uint32_t kUnits>
  [[gnu::always_inline]] static void add_half(const uint8_t* weights, const int8_t* codes, size_t unit_bytes,
                                              int32x4_t (&dot)[kUnits][2]) {
    int8x16_t x[kUnits];
#pragma GCC unroll 8
    for (uint32_t u = 0; u < kUnits; ++u) x[u] = vld1q_s8(codes + kHalf * 16 + u * unit_bytes);
    add_quad<Codes, kHalf, 0>(weights, x, dot);
    add_quad<Codes, kHalf, 1>(weights, x, dot);
    add_quad<Codes, kHalf, 2>(weights, x, dot);
    add_quad<Codes, kHalf, 3>(weights, x, dot);
  }

  template <typename Tile, uint32_t kUnits>
  static void add_blocks(const CodesPiece& piece) noexcept {
    const uint8_t* weights = piece.weights;
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
      add_half<WideCodes, 0>(weights, codes, piece.unit_bytes, dot);
      add_half<WideCodes, 1>(weights, codes, piece.unit_bytes, dot);
      add_scaled_units<Tile>(piece, wide_scales, b, dot, sum);
      weights += Tile::kStride;
      wide_scales += kWideScales;
      codes += kUnitBlockCodes;
    }
    store_sums(piece, sum);
  }

  template <typename Tile, uint32_t kStreams>
  static void one_token(const uint8_t* block, size_t apart, const int8_t* codes, const float* scales,
                        uint32_t blocks, float32x4_t (&out)[kStreams][2]) noexcept {
    using Codes = typename Choice<Tile::kIsFourBits, FourBitCodesTimes16, WideCodes>::Type;
    const int32_t* starts = Codes::kStarts;
    float32x4_t sum[kStreams][2];
    clear_sums(sum);
    for (uint32_t b = 0; b < blocks; ++b, block += Tile::kBlockBytes, codes += kUnitBlockCodes) {
#pragma GCC unroll 4
      for (uint32_t i = 0; i < kStreams; ++i) {
        const uint8_t* packed = block + i * apart;
        prefetch_weights<Tile>(packed);
        int32x4_t dot[1][2] = {{load_start(starts), load_start(starts)}};
        add_half<Codes, 0>(packed + Tile::kScaleBytes, codes, 0, dot);
        add_half<Codes, 1>(packed + Tile::kScaleBytes, codes, 0, dot);
        add_scaled<Tile, Codes>(sum[i], dot[0][0], dot[0][1], packed, scales[b]);
      }
    }
    memcpy(out, sum, sizeof sum);
  }
};

constinit const LinearKernels kQ8_0LinearDotprod = CodesLinear<Kernel, FormatQ8_0>::kernels();
constinit const LinearKernels kQ8RowLinearDotprod = CodesLinear<Kernel, FormatQ8Row>::kernels();
constinit const LinearKernels kQ4_0LinearDotprod = CodesLinear<Kernel, FormatQ4_0>::kernels();

// Attention's codes as two digits of 8 bits, each multiplied by SDOT.
struct AttentionProducts : DigitRows {
  template <int kBits>
  static void put(uint8_t* codes, uint32_t depth, uint32_t i, int16x8_t eight) {
    const int8x16_t digits = digits_of<kBits>(eight);
    auto* out = reinterpret_cast<int8_t*>(codes) + i;
    vst1_s8(out, vget_low_s8(digits));
    vst1_s8(out + depth, vget_high_s8(digits));
  }
  static const void* operand(const int8_t* tile, uint32_t, uint32_t, void*) { return tile; }

  template <int kLane, uint32_t kCount>
  [[gnu::always_inline]] static void add_four(const int8_t* operand, const int8x16_t (&high)[kCount],
                                              const int8x16_t (&low)[kCount],
                                              int32x4_t (&sum)[kCount][2][4]) {
#pragma GCC unroll 4
    for (uint32_t v = 0; v < 4; ++v) {
      const int8x16_t four = vld1q_s8(operand + size_t{v} * 16);
#pragma GCC unroll 2
      for (uint32_t r = 0; r < kCount; ++r) {
        sum[r][0][v] = vdotq_laneq_s32(sum[r][0][v], four, high[r], kLane);
        sum[r][1][v] = vdotq_laneq_s32(sum[r][1][v], four, low[r], kLane);
      }
    }
  }

  template <uint32_t kCount, typename Use>
  static void multiply_rows(const int8_t* operand, uint32_t outputs, uint32_t depth, const int8_t* codes,
                            Use&& use) {
    const int32_t* zeros = kZeroStarts;
    for (uint32_t output = 0; output < outputs; output += kOutputs) {
      int32x4_t sum[kCount][2][4];
#pragma GCC unroll 2
      for (uint32_t r = 0; r < kCount; ++r) {
#pragma GCC unroll 4
        for (uint32_t v = 0; v < 4; ++v) {
          sum[r][0][v] = load_start(zeros);
          sum[r][1][v] = load_start(zeros);
        }
      }
      const int8_t* from = operand + size_t{4} * output;
      const size_t step = size_t{4} * outputs;
      for (uint32_t k = 0; k < depth; k += 16, from += 4 * step) {
        int8x16_t high[kCount];
        int8x16_t low[kCount];
#pragma GCC unroll 2
        for (uint32_t r = 0; r < kCount; ++r) {
          high[r] = vld1q_s8(codes + size_t{2} * r * depth + k);
          low[r] = vld1q_s8(codes + size_t{2} * r * depth + depth + k);
        }
        add_four<0>(from, high, low, sum);
        add_four<1>(from + step, high, low, sum);
        add_four<2>(from + 2 * step, high, low, sum);
        add_four<3>(from + 3 * step, high, low, sum);
      }
#pragma GCC unroll 2
      for (uint32_t r = 0; r < kCount; ++r) {
#pragma GCC unroll 4
        for (uint32_t v = 0; v < 4; ++v) use(r, output + v * kLanes, sum[r][0][v], sum[r][1][v]);
      }
    }
  }
};

constinit const AttentionKernels kAttentionDotprod = NeonAttention<FineDigits<AttentionProducts>>::kernels();

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
    {nullptr, nullptr, nullptr, &neon::kQ8_0LinearDotprod, &neon::kQ8RowLinearDotprod,
     &neon::kQ4_0LinearDotprod},
    &neon::kAttentionDotprod,
    nullptr,
    nullptr,
    &neon::kLimitsDotprod,
};

}  // namespace stonechat
