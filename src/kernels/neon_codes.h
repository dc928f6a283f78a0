// What the Arm sources of products with integer codes share: packs, integer sums as floats, activations as
// codes.
//
// Included by neon*.cc only; static, as neon_common.h says.
#pragma once

#include "kernels/code_formats.h"
#include "kernels/neon_common.h"

namespace stonechat::neon {

inline constexpr uint32_t kCodesTileRows = 8;
inline constexpr uint32_t kCodesUnits = 4;          // of activations that share the registers
inline constexpr uint32_t kCodesTokensAtOnce = 96;  // whose activations stay in the second-level cache
inline constexpr uint32_t kCodesBlocksAtOnce = 32;  // of a tile, whose weights stay in the first-level cache
inline constexpr uint32_t kWideBlockBytes = kCodesTileRows * kBlock;  // codes of 8 bits of a block

// How a tile of 8 rows lies in memory. Where rows have scales, it begins with these and then the means, as
// floats. Then block after block: 8 scales (binary16; none where rows have scales), then 256 codes, 16 bytes
// after 16 bytes in the order that Kernel::code_offset states. Codes of 4 bits: the low halves of 16 bytes
// are what the first 16 of 32 bytes would be, the high halves the others.
template <typename Format>
struct CodesTile {
  static constexpr bool kHasRowScales = Format::kHasRowScales;
  static constexpr bool kIsFourBits = Format::kCodeBits == 4;
  static constexpr uint32_t kHeaderBytes = kHasRowScales ? 2 * kCodesTileRows * sizeof(float) : 0;
  static constexpr uint32_t kScaleBytes = kHasRowScales ? 0 : kCodesTileRows * 2;
  static constexpr uint32_t kBlockBytes = kScaleBytes + kWideBlockBytes * Format::kCodeBits / 8;
  // From one block's codes to those of the next where tokens share them: those of 4 bits are unpacked then.
  static constexpr uint32_t kStride = kIsFourBits ? kWideBlockBytes : kBlockBytes;
};

// Integer sums start at the bits of kRounder. |sum| is at most 32 x 128 x 127 < 2^22, so that the bits of
// start + sum are those of the float kRounder + sum, and a subtraction, which is exact, makes it float(sum).
// That replaces a conversion, which runs on fewer of the units.
static constexpr int32_t kSumStart = 0x4b400000;
alignas(16) static constexpr int32_t kSumStarts[4] = {kSumStart, kSumStart, kSumStart, kSumStart};
// The same for 16 times the sum: floats near 1.5 x 2^19 are 1/16 apart.
static constexpr float kSixteenthRounder = 0x1.8p19F;
static constexpr int32_t kSixteenthStart = 0x49400000;
alignas(16) static constexpr int32_t kSixteenthStarts[4] = {kSixteenthStart, kSixteenthStart, kSixteenthStart,
                                                            kSixteenthStart};

// Each source's own: members aren't static as functions are.
namespace {

// Ways to read 16 bytes of codes, the i-th of a block, and the start of their sums.
struct WideCodes {
  static constexpr const int32_t* kStarts = kSumStarts;
  static int8x16_t load(const uint8_t* codes, uint32_t i) {
    return vld1q_s8(reinterpret_cast<const int8_t*>(codes) + i * 16);
  }
  static float32x4_t to_float(int32x4_t sum) {
    return vsubq_f32(vreinterpretq_f32_s32(sum), vdupq_n_f32(kRounder));
  }
};
// Codes of 4 bits, two's complement.
struct FourBitCodes {
  static constexpr const int32_t* kStarts = kSumStarts;
  static int8x16_t load(const uint8_t* codes, uint32_t i) {
    const int8x16_t both = WideCodes::load(codes, i / 2);
    return vshrq_n_s8(i % 2 == 0 ? vshlq_n_s8(both, 4) : both, 4);
  }
  static float32x4_t to_float(int32x4_t sum) { return WideCodes::to_float(sum); }
};
// The same times 16, which saves a shift.
struct FourBitCodesTimes16 {
  static constexpr const int32_t* kStarts = kSixteenthStarts;
  static int8x16_t load(const uint8_t* codes, uint32_t i) {
    const int8x16_t both = WideCodes::load(codes, i / 2);
    return i % 2 == 0 ? vshlq_n_s8(both, 4) : vandq_s8(both, vdupq_n_s8(-16));
  }
  static float32x4_t to_float(int32x4_t sum) {
    return vsubq_f32(vreinterpretq_f32_s32(sum), vdupq_n_f32(kSixteenthRounder));
  }
};

// What the Kernels have in common whose units are one token.
struct OneTokenUnits {
  static constexpr uint32_t kUnitTokens = 1;
  static constexpr uint32_t kUnitBlockScales = 1;
  static constexpr uint32_t kWideScales = kCodesTileRows;

  static void widen_scales(const uint16_t* halves, float* out) { widen_halves(halves, kCodesTileRows, out); }

  static void outputs(const float* sums, float32x4_t (&out)[1][2]) {
    out[0][0] = vld1q_f32(sums);
    out[0][1] = vld1q_f32(sums + kLanes);
  }
};

}  // namespace

template <bool kCondition, typename True, typename False>
struct Choice {
  using Type = True;
};
template <typename True, typename False>
struct Choice<false, True, False> {
  using Type = False;
};

// Stores the outputs of the tile of `row` of one token, those below end_row only.
[[maybe_unused]] static inline void store_tile(const LinearJob* job, uint32_t token, uint32_t row,
                                               float32x4_t low, float32x4_t high) {
  store_outputs(job, token, row, low);
  if (row + kLanes < job->end_row) store_outputs(job, token, row + kLanes, high);
}

template <typename Tile>
[[gnu::always_inline]] static inline void prefetch_weights(const uint8_t* block) {
#pragma GCC unroll 8
  for (uint32_t byte = 0; byte < Tile::kBlockBytes; byte += 64)
    __builtin_prefetch(block + kPrefetchBytes + byte);
}

// Two blocks of 32 activations as codes; returns their scales, twice.
[[maybe_unused]] static inline float32x4_t quantize_blocks(const float* first, const float* second,
                                                           int8x16_t (&codes)[2][2]) {
  const float* const values[2] = {first, second};
  float32x4_t value[2][8];
  float32x4_t each[2];
#pragma GCC unroll 2
  for (uint32_t b = 0; b < 2; ++b) {
    float32x4_t magnitude[8];
#pragma GCC unroll 8
    for (uint32_t i = 0; i < 8; ++i) {
      value[b][i] = vld1q_f32(values[b] + i * kLanes);
      magnitude[i] = vabsq_f32(value[b][i]);
    }
#pragma GCC unroll 4
    for (uint32_t half = 4; half > 0; half /= 2) {
#pragma GCC unroll 4
      for (uint32_t i = 0; i < half; ++i) magnitude[i] = vmaxq_f32(magnitude[i], magnitude[i + half]);
    }
    each[b] = magnitude[0];
  }
  const float32x4_t halves = vpmaxq_f32(each[0], each[1]);
  const float32x4_t largest = vpmaxq_f32(halves, halves);
  // 127 / largest and largest / 127 of both at once, without a branch: quotients that aren't wanted become 0.
  const float64x2_t most_code = vreinterpretq_f64_f32(vdupq_n_f32(127.0F));
  const float64x2_t both = vreinterpretq_f64_f32(largest);
  const float32x4_t quotients = vdivq_f32(vreinterpretq_f32_f64(vzip1q_f64(most_code, both)),
                                          vreinterpretq_f32_f64(vzip1q_f64(both, most_code)));
  const uint32x4_t is_zero = vcleq_f32(largest, vdupq_n_f32(1e-30F));
  const float32x4_t factors = vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(quotients), is_zero));
#pragma GCC unroll 2
  for (uint32_t b = 0; b < 2; ++b) {
    const float32x4_t factor = b == 0 ? vdupq_laneq_f32(factors, 0) : vdupq_laneq_f32(factors, 1);
    int8x16_t words[4];
#pragma GCC unroll 4
    for (uint32_t i = 0; i < 4; ++i) {
      words[i] = vreinterpretq_s8_s16(
          round_eight(vmulq_f32(value[b][2 * i], factor), vmulq_f32(value[b][2 * i + 1], factor)));
    }
    codes[b][0] = vuzp1q_s8(words[0], words[1]);
    codes[b][1] = vuzp1q_s8(words[2], words[3]);
  }
  return vreinterpretq_f32_f64(vdupq_laneq_f64(vreinterpretq_f64_f32(factors), 1));
}

// What one step of a Kernel works on: some blocks of a tile, and the same blocks of some units.
struct CodesPiece {
  const uint8_t* weights;    // codes of the first block of the tile; Tile::kStride to the next
  const float* wide_scales;  // the blocks' scales, as Kernel::widen_scales made them, unless rows have them
  const int8_t* codes;       // first block of the first unit
  const float* scales;       // its scales
  size_t unit_bytes;         // from one unit to the next
  uint32_t blocks;
  float* sums;    // Kernel::kUnitTokens x 8 floats a unit
  bool is_first;  // of the tile: sums hold nothing yet
};

template <uint32_t kStreams>
[[gnu::always_inline]] static inline void clear_sums(float32x4_t (&sum)[kStreams][2]) {
#pragma GCC unroll 4
  for (uint32_t i = 0; i < kStreams; ++i) sum[i][0] = sum[i][1] = vdupq_n_f32(0);
}

template <uint32_t kUnits, uint32_t kVectors>
[[gnu::always_inline]] static inline void load_sums(const CodesPiece& piece,
                                                    float32x4_t (&sum)[kUnits][kVectors]) {
#pragma GCC unroll 8
  for (uint32_t u = 0; u < kUnits; ++u) {
#pragma GCC unroll 4
    for (uint32_t v = 0; v < kVectors; ++v) {
      sum[u][v] = piece.is_first ? vdupq_n_f32(0) : vld1q_f32(piece.sums + (u * kVectors + v) * kLanes);
    }
  }
}

template <uint32_t kUnits, uint32_t kVectors>
[[gnu::always_inline]] static inline void store_sums(const CodesPiece& piece,
                                                     const float32x4_t (&sum)[kUnits][kVectors]) {
#pragma GCC unroll 8
  for (uint32_t u = 0; u < kUnits; ++u) {
#pragma GCC unroll 4
    for (uint32_t v = 0; v < kVectors; ++v) vst1q_f32(piece.sums + (u * kVectors + v) * kLanes, sum[u][v]);
  }
}

// Adds the integer sums of a block, 8 rows of one token, to the token's sums.
template <typename Tile, typename Codes>
[[gnu::always_inline]] static inline void add_scaled(float32x4_t (&sum)[2], int32x4_t low, int32x4_t high,
                                                     const uint8_t* block, float scale) {
  if constexpr (Tile::kHasRowScales) {
    sum[0] = vfmaq_n_f32(sum[0], Codes::to_float(low), scale);
    sum[1] = vfmaq_n_f32(sum[1], Codes::to_float(high), scale);
  } else {
    const float16x8_t halves = load_halves(reinterpret_cast<const uint16_t*>(block));
    const float32x4_t low_scales = vmulq_n_f32(vcvt_f32_f16(vget_low_f16(halves)), scale);
    const float32x4_t high_scales = vmulq_n_f32(vcvt_high_f32_f16(halves), scale);
    sum[0] = vfmaq_f32(sum[0], Codes::to_float(low), low_scales);
    sum[1] = vfmaq_f32(sum[1], Codes::to_float(high), high_scales);
  }
}

// The same for units of one token each, whose b-th scale is wanted.
template <typename Tile, uint32_t kUnits>
[[gnu::always_inline]] static inline void add_scaled_units(const CodesPiece& piece, const float* wide_scales,
                                                           uint32_t b, const int32x4_t (&dot)[kUnits][2],
                                                           float32x4_t (&sum)[kUnits][2]) {
  const size_t stride = piece.unit_bytes / sizeof(float);
  if constexpr (Tile::kHasRowScales) {
#pragma GCC unroll 8
    for (uint32_t u = 0; u < kUnits; ++u) {
      const float scale = piece.scales[u * stride + b];
      sum[u][0] = vfmaq_n_f32(sum[u][0], WideCodes::to_float(dot[u][0]), scale);
      sum[u][1] = vfmaq_n_f32(sum[u][1], WideCodes::to_float(dot[u][1]), scale);
    }
  } else {
    const float32x4_t low_scales = vld1q_f32(wide_scales);
    const float32x4_t high_scales = vld1q_f32(wide_scales + kLanes);
#pragma GCC unroll 8
    for (uint32_t u = 0; u < kUnits; ++u) {
      const float scale = piece.scales[u * stride + b];
      sum[u][0] = vfmaq_f32(sum[u][0], WideCodes::to_float(dot[u][0]), vmulq_n_f32(low_scales, scale));
      sum[u][1] = vfmaq_f32(sum[u][1], WideCodes::to_float(dot[u][1]), vmulq_n_f32(high_scales, scale));
    }
  }
}

}  // namespace stonechat::neon
