// The table for Arm with SMMLA: products with integer codes, of weights and of the cache; the rest is that of
// neon.
//
// SMMLA multiplies two rows by two tokens, 8 columns of each, into four sums that lie as
// (row 0, token 0), (row 0, token 1), (row 1, token 0), (row 1, token 1). Floats are summed in that form too,
// with scales laid out alike, and put in order at the end only.
#include "base/cpu_feature_bits.h"
#include "kernels/neon_attention_digits.h"
#include "kernels/neon_limits.h"
#include "kernels/neon_linear_codes.h"
#include "kernels/tables.h"

namespace stonechat {
namespace neon {
namespace {

constexpr uint32_t kPairs = kCodesTileRows / 2;  // pairs of rows
constexpr uint32_t kSquare = 4;                  // floats of two rows and two tokens

struct Kernel {
  static constexpr uint32_t kUnitTokens = 2;
  static constexpr uint32_t kUnitBlockCodes = 2 * kBlock;
  static constexpr uint32_t kUnitBlockScales = kSquare;
  static constexpr uint32_t kWideScales = 2 * kCodesTileRows;
  static constexpr uint32_t kRun = 8;

  // Eight consecutive columns of each of the 8 rows, then the next eight.
  static constexpr uint32_t code_offset(uint32_t row, uint32_t col) {
    return col / 8 * 64 + row * 8 + col % 8;
  }

  static void store_unit(const int8x16_t (&codes)[2][2], float32x4_t scales, int8_t* out_codes,
                         float* out_scales) {
#pragma GCC unroll 2
    for (uint32_t i = 0; i < 2; ++i, out_codes += 32) {
      const int64x2_t first = vreinterpretq_s64_s8(codes[0][i]);
      const int64x2_t second = vreinterpretq_s64_s8(codes[1][i]);
      vst1q_s8(out_codes, vreinterpretq_s8_s64(vzip1q_s64(first, second)));
      vst1q_s8(out_codes + 16, vreinterpretq_s8_s64(vzip2q_s64(first, second)));
    }
    vst1q_f32(out_scales, scales);
  }

  // Scales of rows 0, 0, 1, 1, then 2, 2, 3, 3, and so on.
  static void widen_scales(const uint16_t* halves, float* out) {
    const float16x8_t eight = load_halves(halves);
    const float32x4_t low = vcvt_f32_f16(vget_low_f16(eight));
    const float32x4_t high = vcvt_high_f32_f16(eight);
    vst1q_f32(out, vzip1q_f32(low, low));
    vst1q_f32(out + 4, vzip2q_f32(low, low));
    vst1q_f32(out + 8, vzip1q_f32(high, high));
    vst1q_f32(out + 12, vzip2q_f32(high, high));
  }

  // One block of two pairs of rows: half of the tile, so that integer sums, float sums and operands fit the
  // 32 registers.
  template <typename Tile, uint32_t kUnits>
  [[gnu::always_inline]] static void add_half_tile(const uint8_t* weights, const float* wide_scales,
                                                   const int8_t* codes, const float* scales,
                                                   size_t unit_bytes, const int32_t*& starts,
                                                   float32x4_t (&sum)[kUnits][kPairs], uint32_t first_pair) {
    int32x4_t dot[kUnits][2];
#pragma GCC unroll 8
    for (uint32_t u = 0; u < kUnits; ++u) {
      dot[u][0] = load_start(starts);
      dot[u][1] = load_start(starts);
    }
#pragma GCC unroll 4
    for (uint32_t eight = 0; eight < kBlock / 8; ++eight) {
      const int8x16_t first = WideCodes::load(weights, eight * kPairs + first_pair);
      const int8x16_t second = WideCodes::load(weights, eight * kPairs + first_pair + 1);
#pragma GCC unroll 8
      for (uint32_t u = 0; u < kUnits; ++u) {
        const int8x16_t x = vld1q_s8(codes + u * unit_bytes + eight * 16);
        dot[u][0] = vmmlaq_s32(dot[u][0], first, x);
        dot[u][1] = vmmlaq_s32(dot[u][1], second, x);
      }
    }
    float32x4_t row_scales[2];
    if constexpr (!Tile::kHasRowScales) {
      row_scales[0] = vld1q_f32(wide_scales + first_pair * kSquare);
      row_scales[1] = vld1q_f32(wide_scales + first_pair * kSquare + kSquare);
    }
#pragma GCC unroll 8
    for (uint32_t u = 0; u < kUnits; ++u) {
      const float32x4_t scale = vld1q_f32(scales + u * (unit_bytes / sizeof(float)));
#pragma GCC unroll 2
      for (uint32_t i = 0; i < 2; ++i) {
        float32x4_t factor = scale;
        if constexpr (!Tile::kHasRowScales) factor = vmulq_f32(row_scales[i], scale);
        float32x4_t& total = sum[u][first_pair + i];
        total = vfmaq_f32(total, WideCodes::to_float(dot[u][i]), factor);
      }
    }
  }

  template <typename Tile, uint32_t kUnits>
  static void add_blocks(const CodesPiece& piece) noexcept {
    const uint8_t* weights = piece.weights;
    const float* wide_scales = piece.wide_scales;
    const int8_t* codes = piece.codes;
    const float* scales = piece.scales;
    const int32_t* starts = kSumStarts;
    float32x4_t sum[kUnits][kPairs];
    load_sums(piece, sum);
    for (uint32_t b = 0; b < piece.blocks; ++b) {
      add_half_tile<Tile>(weights, wide_scales, codes, scales, piece.unit_bytes, starts, sum, 0);
      // Hidden as `starts` is: else the compiler keeps the codes for the second half and stores sums instead.
      asm volatile("" : "+r"(codes));
      add_half_tile<Tile>(weights, wide_scales, codes, scales, piece.unit_bytes, starts, sum, 2);
      weights += Tile::kStride;
      wide_scales += kWideScales;
      codes += kUnitBlockCodes;
      scales += kUnitBlockScales;
    }
    store_sums(piece, sum);
  }

  static void outputs(const float* sums, float32x4_t (&out)[2][2]) {
#pragma GCC unroll 2
    for (uint32_t half = 0; half < 2; ++half) {
      const float32x4_t first = vld1q_f32(sums + 2 * half * kSquare);
      const float32x4_t second = vld1q_f32(sums + (2 * half + 1) * kSquare);
      out[0][half] = vuzp1q_f32(first, second);
      out[1][half] = vuzp2q_f32(first, second);
    }
  }

  // Half of each SMMLA is wasted; still it multiplies as much as an SDOT, and needs no other layout.
  template <typename Tile, uint32_t kStreams>
  static void one_token(const uint8_t* block, size_t apart, const int8_t* codes, const float* scales,
                        uint32_t blocks, float32x4_t (&out)[kStreams][2]) noexcept {
    using Codes = typename Choice<Tile::kIsFourBits, FourBitCodesTimes16, WideCodes>::Type;
    const int32_t* starts = Codes::kStarts;
    float32x4_t sum[kStreams][2];
    clear_sums(sum);
    for (uint32_t b = 0; b < blocks; ++b, block += Tile::kBlockBytes, codes += kUnitBlockCodes) {
      int32x4_t dot[kStreams][kPairs];
#pragma GCC unroll 4
      for (uint32_t i = 0; i < kStreams; ++i) {
        prefetch_weights<Tile>(block + i * apart);
#pragma GCC unroll 4
        for (uint32_t p = 0; p < kPairs; ++p) dot[i][p] = load_start(starts);
      }
#pragma GCC unroll 4
      for (uint32_t eight = 0; eight < kBlock / 8; ++eight) {
        const int8x16_t x = vld1q_s8(codes + eight * 16);
#pragma GCC unroll 4
        for (uint32_t i = 0; i < kStreams; ++i) {
          const uint8_t* weights = block + i * apart + Tile::kScaleBytes;
#pragma GCC unroll 4
          for (uint32_t p = 0; p < kPairs; ++p)
            dot[i][p] = vmmlaq_s32(dot[i][p], Codes::load(weights, eight * kPairs + p), x);
        }
      }
#pragma GCC unroll 4
      for (uint32_t i = 0; i < kStreams; ++i) {
        add_scaled<Tile, Codes>(sum[i], vuzp1q_s32(dot[i][0], dot[i][1]), vuzp1q_s32(dot[i][2], dot[i][3]),
                                block + i * apart, scales[b * kUnitBlockScales]);
      }
    }
    memcpy(out, sum, sizeof sum);
  }
};

constinit const LinearKernels kQ8_0LinearI8mm = CodesLinear<Kernel, FormatQ8_0>::kernels();
constinit const LinearKernels kQ8RowLinearI8mm = CodesLinear<Kernel, FormatQ8Row>::kernels();
constinit const LinearKernels kQ4_0LinearI8mm = CodesLinear<Kernel, FormatQ4_0>::kernels();

// Attention's codes as two digits of 8 bits, which take the places of two tokens in SMMLA: 8 codes of a row
// are their 8 high digits, then their 8 low ones.
struct AttentionProducts : DigitRows {
  static constexpr uint32_t kOutputPairs = kOutputs / 2;
  static constexpr uint32_t kDepth = 8;  // that one SMMLA adds

  template <int kBits>
  static void put(uint8_t* codes, uint32_t, uint32_t i, int16x8_t eight) {
    vst1q_s8(reinterpret_cast<int8_t*>(codes) + size_t{2} * i, digits_of<kBits>(eight));
  }

  // From [depth / 4][output][4] to [depth / 8][output][8].
  static const void* operand(const int8_t* tile, uint32_t outputs, uint32_t depth, void* area) {
    auto* out = static_cast<int8_t*>(area);
    for (uint32_t k = 0; k < depth; k += kDepth) {
      const int8_t* first = tile + size_t{k} * outputs;
      const int8_t* second = first + size_t{4} * outputs;
      for (uint32_t i = 0; i < 4 * outputs; i += 16, out += 32) {
        const int32x4_t low = vreinterpretq_s32_s8(vld1q_s8(first + i));
        const int32x4_t high = vreinterpretq_s32_s8(vld1q_s8(second + i));
        vst1q_s8(out, vreinterpretq_s8_s32(vzip1q_s32(low, high)));
        vst1q_s8(out + 16, vreinterpretq_s8_s32(vzip2q_s32(low, high)));
      }
    }
    return area;
  }

  template <uint32_t kCount, typename Use>
  static void multiply_rows(const int8_t* operand, uint32_t outputs, uint32_t depth, const int8_t* codes,
                            Use&& use) {
    const int32_t* zeros = kZeroStarts;
    for (uint32_t output = 0; output < outputs; output += kOutputs) {
      int32x4_t sum[kCount][kOutputPairs];
#pragma GCC unroll 2
      for (uint32_t r = 0; r < kCount; ++r) {
#pragma GCC unroll 8
        for (uint32_t pair = 0; pair < kOutputPairs; ++pair) sum[r][pair] = load_start(zeros);
      }
      const int8_t* from = operand + size_t{kDepth} * output;
      for (uint32_t k = 0; k < depth; k += kDepth, from += size_t{kDepth} * outputs) {
        int8x16_t digits[kCount];
#pragma GCC unroll 2
        for (uint32_t r = 0; r < kCount; ++r) digits[r] = vld1q_s8(codes + size_t{2} * (r * depth + k));
#pragma GCC unroll 8
        for (uint32_t pair = 0; pair < kOutputPairs; ++pair) {
          const int8x16_t two = vld1q_s8(from + size_t{pair} * 16);
#pragma GCC unroll 2
          for (uint32_t r = 0; r < kCount; ++r) sum[r][pair] = vmmlaq_s32(sum[r][pair], two, digits[r]);
        }
      }
#pragma GCC unroll 2
      for (uint32_t r = 0; r < kCount; ++r) {
#pragma GCC unroll 4
        for (uint32_t v = 0; v < kOutputPairs / 2; ++v) {
          const int32x4_t high = vuzp1q_s32(sum[r][2 * v], sum[r][2 * v + 1]);
          const int32x4_t low = vuzp2q_s32(sum[r][2 * v], sum[r][2 * v + 1]);
          use(r, output + v * kLanes, high, low);
        }
      }
    }
  }
};

constinit const AttentionKernels kAttentionI8mm = NeonAttention<FineDigits<AttentionProducts>>::kernels();

struct Operations : LimitOperations {
  static constexpr uint32_t kProducts = 32;
  static int32x4_t add_products(int32x4_t sum, int8x16_t a, int8x16_t b) { return vmmlaq_s32(sum, a, b); }
};

constinit const LimitKernels kLimitsI8mm = SimdLimits<Operations>::kernels();

}  // namespace
}  // namespace neon

constinit const KernelTable kNeonI8mmKernels = {
    "neon_i8mm",
    kCpuNeon | kCpuNeonI8mm,
    {nullptr, nullptr, nullptr, &neon::kQ8_0LinearI8mm, &neon::kQ8RowLinearI8mm, &neon::kQ4_0LinearI8mm},
    &neon::kAttentionI8mm,
    nullptr,
    nullptr,
    &neon::kLimitsI8mm,
};

}  // namespace stonechat
