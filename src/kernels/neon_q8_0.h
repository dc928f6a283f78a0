// Q8_0 products on Arm: all but the inner loops, which differ by instruction set and are given as `Kernel`.
//
// Included by neon*.cc only; static, as neon_common.h says.
//
// A tile is 8 rows, block after block: 8 scales (binary16), then 256 codes in the order that
// Kernel::code_offset states. Activations are prepared in units of 1 or 2 tokens: the codes of all blocks in
// Kernel's order, then the scales of all blocks as floats, as Kernel wants them.
#pragma once

#include "kernels/neon_common.h"

namespace stonechat::neon {

inline constexpr uint32_t kQ8TileRows = 8;
inline constexpr uint32_t kQ8ScaleBytes = kQ8TileRows * 2;
inline constexpr uint32_t kQ8BlockBytes = kQ8ScaleBytes + kQ8TileRows * kBlock;
inline constexpr uint32_t kQ8StoredBytes = 2 + kBlock;  // of a block of one row in a file
inline constexpr uint32_t kQ8Units = 4;                 // of activations that share the registers
inline constexpr uint32_t kQ8TokensAtOnce = 96;         // whose activations stay in the second-level cache
inline constexpr uint32_t kQ8BlocksAtOnce = 32;  // of a tile, whose weights stay in the first-level cache

// Integer sums start at the bits of kRounder. |sum| is at most 32 x 128 x 127 < 2^22, so that the bits of
// start + sum are those of the float kRounder + sum, and a subtraction, which is exact, makes it float(sum).
// That replaces a conversion, which runs on fewer of the units.
static constexpr int32_t kSumStart = 0x4b400000;
alignas(16) static constexpr int32_t kSumStarts[4] = {kSumStart, kSumStart, kSumStart, kSumStart};

[[maybe_unused, gnu::always_inline]] static inline int32x4_t load_start(const int32_t*& starts) {
  hide(starts);
  return vld1q_s32(starts);
}

[[maybe_unused]] static inline float32x4_t sum_to_float(int32x4_t sum) {
  return vsubq_f32(vreinterpretq_f32_s32(sum), vdupq_n_f32(kRounder));
}

// Stores the outputs of the tile of `row` of one token, those below end_row only.
[[maybe_unused]] static inline void store_tile(const LinearJob* job, uint32_t token, uint32_t row,
                                               float32x4_t low, float32x4_t high) {
  store_outputs(job, token, row, low);
  if (row + kLanes < job->end_row) store_outputs(job, token, row + kLanes, high);
}

[[maybe_unused]] static inline void prefetch_weights(const uint8_t* block) {
  constexpr uint32_t kAhead = 8 * kQ8BlockBytes;
#pragma GCC unroll 8
  for (uint32_t byte = 0; byte < kQ8BlockBytes; byte += 64) __builtin_prefetch(block + kAhead + byte);
}

// 32 activations as codes; returns their scale.
[[maybe_unused]] static inline float quantize_block(const float* values, int8x16_t (&codes)[2]) {
  float32x4_t value[8];
  float32x4_t magnitude[8];
#pragma GCC unroll 8
  for (uint32_t i = 0; i < 8; ++i) {
    value[i] = vld1q_f32(values + i * kLanes);
    magnitude[i] = vabsq_f32(value[i]);
  }
#pragma GCC unroll 4
  for (uint32_t half = 4; half > 0; half /= 2) {
#pragma GCC unroll 4
    for (uint32_t i = 0; i < half; ++i) magnitude[i] = vmaxq_f32(magnitude[i], magnitude[i + half]);
  }
  // 127 / largest and largest / 127 at once, without a branch: quotients that aren't wanted become 0.
  const float32x2_t largest = vdup_n_f32(vmaxvq_f32(magnitude[0]));
  const float32x2_t most_code = vdup_n_f32(127.0F);
  const float32x2_t quotients = vdiv_f32(vzip1_f32(most_code, largest), vzip1_f32(largest, most_code));
  const uint32x2_t is_zero = vcle_f32(largest, vdup_n_f32(1e-30F));
  const float32x2_t factors = vreinterpret_f32_u32(vbic_u32(vreinterpret_u32_f32(quotients), is_zero));
  int16x8_t words[4];
#pragma GCC unroll 4
  for (uint32_t i = 0; i < 4; ++i) {
    const float32x4_t low = vaddq_f32(vmulq_lane_f32(value[2 * i], factors, 0), vdupq_n_f32(kRounder));
    const float32x4_t high = vaddq_f32(vmulq_lane_f32(value[2 * i + 1], factors, 0), vdupq_n_f32(kRounder));
    words[i] = vuzp1q_s16(vreinterpretq_s16_f32(low), vreinterpretq_s16_f32(high));
  }
  codes[0] = vuzp1q_s8(vreinterpretq_s8_s16(words[0]), vreinterpretq_s8_s16(words[1]));
  codes[1] = vuzp1q_s8(vreinterpretq_s8_s16(words[2]), vreinterpretq_s8_s16(words[3]));
  return vget_lane_f32(factors, 1);
}

// What one step of a Kernel works on: some blocks of a tile, and the same blocks of some units.
struct Q8Piece {
  const uint8_t* weights;    // first block of the tile
  const float* wide_scales;  // its scales, as Kernel::widen_scales made them
  const int8_t* codes;       // first block of the first unit
  const float* scales;       // its scales
  size_t unit_bytes;         // from one unit to the next
  uint32_t blocks;
  float* sums;    // Kernel::kUnitTokens x 8 floats a unit
  bool is_first;  // of the tile: sums hold nothing yet
};

template <uint32_t kUnits, uint32_t kVectors>
[[gnu::always_inline]] static inline void load_sums(const Q8Piece& piece,
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
[[gnu::always_inline]] static inline void store_sums(const Q8Piece& piece,
                                                     const float32x4_t (&sum)[kUnits][kVectors]) {
#pragma GCC unroll 8
  for (uint32_t u = 0; u < kUnits; ++u) {
#pragma GCC unroll 4
    for (uint32_t v = 0; v < kVectors; ++v) vst1q_f32(piece.sums + (u * kVectors + v) * kLanes, sum[u][v]);
  }
}

// Kernel gives:
//   kUnitTokens, kUnitBlockCodes (bytes), kUnitBlockScales (floats), kWideScales (floats a block of a tile)
//   code_offset(row, col): where in a block of a tile a code is; kRun columns follow each other
//   store_unit(codes of the unit's tokens, their scales, where to)
//   widen_scales(8 halves, out)
//   add_blocks<units>(piece)
//   outputs(sums of a unit, out[kUnitTokens][2]): 8 rows of each of its tokens
//   one_token(tile, unit's codes, its scales, blocks, out[2]): the first token of a unit
template <typename Kernel>
struct Q8Linear {
  static size_t tile_bytes(uint32_t cols) noexcept {
    return round_up_64(size_t{cols} / kBlock * kQ8BlockBytes);
  }

  static size_t unit_bytes(uint32_t cols) noexcept {
    return round_up_64(size_t{cols} / kBlock *
                       (Kernel::kUnitBlockCodes + Kernel::kUnitBlockScales * sizeof(float)));
  }

  static void pack_tile(const void* source, uint32_t rows, uint32_t cols, void* tile) noexcept {
    const uint32_t blocks = cols / kBlock;
    memset(tile, 0, tile_bytes(cols));
    for (uint32_t row = 0; row < rows; ++row) {
      const uint8_t* stored = static_cast<const uint8_t*>(source) + size_t{row} * blocks * kQ8StoredBytes;
      uint8_t* out = static_cast<uint8_t*>(tile);
      for (uint32_t block = 0; block < blocks; ++block, stored += kQ8StoredBytes, out += kQ8BlockBytes) {
        memcpy(out + row * 2, stored, 2);
        for (uint32_t col = 0; col < kBlock; col += Kernel::kRun) {
          memcpy(out + kQ8ScaleBytes + Kernel::code_offset(row, col), stored + 2 + col, Kernel::kRun);
        }
      }
    }
  }

  static void unpack_row(const void* pack, uint32_t row, uint32_t cols, float* out) noexcept {
    const uint8_t* block = static_cast<const uint8_t*>(pack) + row / kQ8TileRows * tile_bytes(cols);
    const uint32_t tile_row = row % kQ8TileRows;
    for (uint32_t first = 0; first < cols; first += kBlock, block += kQ8BlockBytes) {
      uint16_t half;
      memcpy(&half, block + tile_row * 2, 2);
      const float scale = widen_half(half);
      const auto* codes = reinterpret_cast<const int8_t*>(block + kQ8ScaleBytes);
      for (uint32_t col = 0; col < kBlock; ++col) {
        out[first + col] = scale * static_cast<float>(codes[Kernel::code_offset(tile_row, col)]);
      }
    }
  }

  static size_t prepared_bytes(uint32_t tokens, uint32_t cols) noexcept {
    return (size_t{tokens} + Kernel::kUnitTokens - 1) / Kernel::kUnitTokens * unit_bytes(cols);
  }

  // Columns [first_col, end_col) of one unit, of which kPresent tokens exist; the others' codes and scales
  // are 0.
  template <uint32_t kPresent>
  static void prepare_unit(const PrepareJob* job, const float* x, int8_t* unit) noexcept {
    const uint32_t first_block = job->first_col / kBlock;
    int8_t* codes = unit + size_t{first_block} * Kernel::kUnitBlockCodes;
    auto* scales = reinterpret_cast<float*>(unit + size_t{job->cols} / kBlock * Kernel::kUnitBlockCodes) +
                   size_t{first_block} * Kernel::kUnitBlockScales;
    for (uint32_t col = job->first_col; col < job->end_col; col += kBlock, x += kBlock) {
      int8x16_t block_codes[Kernel::kUnitTokens][2] = {};
      float block_scales[Kernel::kUnitTokens] = {};
#pragma GCC unroll 2
      for (uint32_t t = 0; t < kPresent; ++t)
        block_scales[t] = quantize_block(x + t * job->x_stride, block_codes[t]);
      Kernel::store_unit(block_codes, block_scales, codes, scales);
      codes += Kernel::kUnitBlockCodes;
      scales += Kernel::kUnitBlockScales;
    }
  }

  static void prepare(const PrepareJob* job) noexcept {
    for (uint32_t token = job->first_token; token < job->end_token; token += Kernel::kUnitTokens) {
      auto* unit = static_cast<int8_t*>(job->prepared) + token / Kernel::kUnitTokens * unit_bytes(job->cols);
      const float* x = job->x + (token - job->first_token) * job->x_stride;
      if (token + Kernel::kUnitTokens <= job->end_token) {
        prepare_unit<Kernel::kUnitTokens>(job, x, unit);
      } else {
        prepare_unit<1>(job, x, unit);
      }
    }
  }

  static void add_units(uint32_t units, Q8Piece piece) noexcept {
    for (; units >= kQ8Units; units -= kQ8Units) {
      Kernel::template add_blocks<kQ8Units>(piece);
      piece.codes += kQ8Units * piece.unit_bytes;
      piece.scales += kQ8Units * piece.unit_bytes / sizeof(float);
      piece.sums += kQ8Units * Kernel::kUnitTokens * kQ8TileRows;
    }
    switch (units) {
      case 3:
        return Kernel::template add_blocks<3>(piece);
      case 2:
        return Kernel::template add_blocks<2>(piece);
      case 1:
        return Kernel::template add_blocks<1>(piece);
      default:
        return;
    }
  }

  // Tokens [first, end), at most kQ8TokensAtOnce, with the tile of `row`.
  static void multiply_tile(const LinearJob* job, uint32_t row, uint32_t first, uint32_t end) noexcept {
    alignas(64) float sums[kQ8TokensAtOnce * kQ8TileRows];
    alignas(64) float wide_scales[kQ8BlocksAtOnce * Kernel::kWideScales];
    const uint32_t units = (end - first + Kernel::kUnitTokens - 1) / Kernel::kUnitTokens;
    const uint32_t blocks = job->cols / kBlock;
    const uint8_t* tile =
        static_cast<const uint8_t*>(job->weights) + row / kQ8TileRows * tile_bytes(job->cols);
    const size_t bytes = unit_bytes(job->cols);
    const auto* codes = static_cast<const int8_t*>(job->activations) + first / Kernel::kUnitTokens * bytes;
    const auto* scales = reinterpret_cast<const float*>(codes + size_t{blocks} * Kernel::kUnitBlockCodes);
    for (uint32_t block = 0; block < blocks; block += kQ8BlocksAtOnce) {
      const uint32_t count = blocks - block < kQ8BlocksAtOnce ? blocks - block : kQ8BlocksAtOnce;
      const uint8_t* weights = tile + size_t{block} * kQ8BlockBytes;
      for (uint32_t i = 0; i < count; ++i) {
        const auto* halves = reinterpret_cast<const uint16_t*>(weights + i * kQ8BlockBytes);
        Kernel::widen_scales(halves, wide_scales + i * Kernel::kWideScales);
      }
      add_units(units, {weights, wide_scales, codes + size_t{block} * Kernel::kUnitBlockCodes,
                        scales + size_t{block} * Kernel::kUnitBlockScales, bytes, count, sums, block == 0});
    }
    if (row + kQ8TileRows > job->end_row) {
      store_units(first, end, sums, [&](uint32_t token, const float32x4_t(&out)[2]) {
        store_tile(job, token, row, out[0], out[1]);
      });
    } else if (job->bias != nullptr && job->add_to_out) {
      store_whole_tile<true, true>(job, row, first, end, sums);
    } else if (job->bias != nullptr) {
      store_whole_tile<true, false>(job, row, first, end, sums);
    } else if (job->add_to_out) {
      store_whole_tile<false, true>(job, row, first, end, sums);
    } else {
      store_whole_tile<false, false>(job, row, first, end, sums);
    }
  }

  template <typename Store>
  [[gnu::always_inline]] static void store_units(uint32_t first, uint32_t end, const float* sums,
                                                 Store store) noexcept {
    for (uint32_t token = first; token < end; token += Kernel::kUnitTokens) {
      float32x4_t out[Kernel::kUnitTokens][2];
      Kernel::outputs(sums, out);
#pragma GCC unroll 2
      for (uint32_t t = 0; t < Kernel::kUnitTokens; ++t) {
        if (token + t < end) store(token + t, out[t]);
      }
      sums += Kernel::kUnitTokens * kQ8TileRows;
    }
  }

  template <bool kBias, bool kAdd>
  static void store_whole_tile(const LinearJob* job, uint32_t row, uint32_t first, uint32_t end,
                               const float* sums) noexcept {
    const float32x4_t low_bias = kBias ? vld1q_f32(job->bias + row) : vdupq_n_f32(0);
    const float32x4_t high_bias = kBias ? vld1q_f32(job->bias + row + kLanes) : vdupq_n_f32(0);
    float* to = job->out + (first - job->first_token) * job->out_stride + (row - job->first_row);
    const size_t stride = job->out_stride;
    store_units(first, end, sums, [&](uint32_t, const float32x4_t(&out)[2]) {
      float32x4_t low = kBias ? vaddq_f32(out[0], low_bias) : out[0];
      float32x4_t high = kBias ? vaddq_f32(out[1], high_bias) : out[1];
      if constexpr (kAdd) {
        low = vaddq_f32(vld1q_f32(to), low);
        high = vaddq_f32(vld1q_f32(to + kLanes), high);
      }
      vst1q_f32(to, low);
      vst1q_f32(to + kLanes, high);
      to += stride;
    });
  }

  static void multiply_one_token(const LinearJob* job) noexcept {
    const uint32_t blocks = job->cols / kBlock;
    const size_t bytes = tile_bytes(job->cols);
    const auto* codes = static_cast<const int8_t*>(job->activations) +
                        job->first_token / Kernel::kUnitTokens * unit_bytes(job->cols);
    const auto* scales = reinterpret_cast<const float*>(codes + size_t{blocks} * Kernel::kUnitBlockCodes);
    const uint8_t* tile = static_cast<const uint8_t*>(job->weights) + job->first_row / kQ8TileRows * bytes;
    for (uint32_t row = job->first_row; row < job->end_row; row += kQ8TileRows, tile += bytes) {
      float32x4_t out[2];
      Kernel::one_token(tile, codes, scales, blocks, out);
      store_tile(job, job->first_token, row, out[0], out[1]);
    }
  }

  static void multiply(const LinearJob* job) noexcept {
    if (job->end_token - job->first_token == 1) return multiply_one_token(job);
    for (uint32_t first = job->first_token; first < job->end_token; first += kQ8TokensAtOnce) {
      const uint32_t end =
          job->end_token - first < kQ8TokensAtOnce ? job->end_token : first + kQ8TokensAtOnce;
      for (uint32_t row = job->first_row; row < job->end_row; row += kQ8TileRows) {
        multiply_tile(job, row, first, end);
      }
    }
  }

  static constexpr LinearKernels kernels() {
    return {kQ8TileRows, Kernel::kUnitTokens, tile_bytes, pack_tile,
            unpack_row,  prepared_bytes,      prepare,    multiply};
  }
};

}  // namespace stonechat::neon
