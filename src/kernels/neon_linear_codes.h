// Products with integer codes on Arm, for any of the formats in code_formats.h: all but the inner loops,
// which differ by instruction set and are given as `Kernel`.
//
// Included by neon*.cc only; static, as neon_common.h says.
//
// Activations are prepared in units of 1 or 2 tokens: the codes of all blocks in Kernel's order, then the
// scales of all blocks as floats, as Kernel wants them, then (where rows have means) the sums of the codes as
// floats.
#pragma once

#include "kernels/neon_codes.h"
#include "kernels/weight_streams.h"

namespace stonechat::neon {

// Kernel gives:
//   kUnitTokens, kUnitBlockCodes (bytes), kUnitBlockScales (floats, that of token t at [t]),
//   kWideScales (floats a block of a tile)
//   code_offset(row, col)            where in a block of a tile a code is; kRun columns follow each other
//   store_unit(codes, scales, ..)    of the unit's tokens; scales are those of two tokens, twice
//   widen_scales(8 halves, out)
//   add_blocks<Tile, units>(piece)
//   outputs(sums of a unit, out[kUnitTokens][2])    8 rows of each of its tokens
//   one_token<Tile, kStreams>(first block, bytes to that of the next stream, unit's codes, its scales,
//   blocks, out[kStreams][2])                the first token of a unit
template <typename Kernel, typename Format>
struct CodesLinear {
  using Tile = CodesTile<Format>;
  static constexpr bool kHasRowScales = Format::kHasRowScales;
  static constexpr uint32_t kUnitTokens = Kernel::kUnitTokens;
  static constexpr uint32_t kUnitBlockFloats = Kernel::kUnitBlockScales + (kHasRowScales ? kUnitTokens : 0);

  static size_t tile_bytes(uint32_t cols) noexcept {
    return round_up_64(Tile::kHeaderBytes + size_t{cols} / kBlock * Tile::kBlockBytes);
  }

  static size_t unit_bytes(uint32_t cols) noexcept {
    return round_up_64(size_t{cols} / kBlock * (Kernel::kUnitBlockCodes + kUnitBlockFloats * sizeof(float)));
  }

  static const uint8_t* tile_of(const void* pack, uint32_t row, uint32_t cols) noexcept {
    return static_cast<const uint8_t*>(pack) + row / kCodesTileRows * tile_bytes(cols);
  }

  static void pack_tile(const void* source, uint32_t rows, uint32_t cols, void* tile) noexcept {
    memset(tile, 0, tile_bytes(cols));
    auto* out = static_cast<uint8_t*>(tile);
    if constexpr (kHasRowScales) {
      for (uint32_t row = 0; row < rows; ++row) {
        const uint8_t* header = stored_block<Format>(source, row, cols, 0) - Format::kHeaderBytes;
        memcpy(out + row * 4, header, 4);
        memcpy(out + (kCodesTileRows + row) * 4, header + 4, 4);
      }
      out += Tile::kHeaderBytes;
    }
    for (uint32_t block = 0; block < cols / kBlock; ++block, out += Tile::kBlockBytes) {
      int8_t wide[kWideBlockBytes] = {};
      for (uint32_t row = 0; row < rows; ++row) {
        const uint8_t* stored = stored_block<Format>(source, row, cols, block);
        if constexpr (!kHasRowScales) memcpy(out + row * 2, stored, 2);
        int8_t codes[kBlock];
        Format::read_codes(stored, codes);
        for (uint32_t col = 0; col < kBlock; col += Kernel::kRun)
          memcpy(wide + Kernel::code_offset(row, col), codes + col, Kernel::kRun);
      }
      if constexpr (Tile::kIsFourBits) {
        for (uint32_t i = 0; i < kWideBlockBytes / 2; ++i) {
          const int8_t* low = wide + i / 16 * 32 + i % 16;
          out[Tile::kScaleBytes + i] = static_cast<uint8_t>((low[0] & 15) | (low[16] & 15) << 4);
        }
      } else {
        memcpy(out + Tile::kScaleBytes, wide, kWideBlockBytes);
      }
    }
  }

  // The codes of some blocks with 8 bits each.
  static void unpack_blocks(const uint8_t* block, uint32_t blocks, uint8_t* wide) noexcept {
    for (uint32_t b = 0; b < blocks; ++b, block += Tile::kBlockBytes, wide += kWideBlockBytes) {
      prefetch_weights<Tile>(block);
#pragma GCC unroll 16
      for (uint32_t i = 0; i < kWideBlockBytes / 16; ++i) {
        const int8x16_t codes = FourBitCodes::load(block + Tile::kScaleBytes, i);
        vst1q_s8(reinterpret_cast<int8_t*>(wide) + i * 16, codes);
      }
    }
  }

  static void unpack_row(const void* pack, uint32_t row, uint32_t cols, float* out) noexcept {
    const uint8_t* block = tile_of(pack, row, cols);
    const uint32_t tile_row = row % kCodesTileRows;
    float scale = 0;
    float mean = 0;
    if constexpr (kHasRowScales) {
      memcpy(&scale, block + tile_row * 4, 4);
      memcpy(&mean, block + (kCodesTileRows + tile_row) * 4, 4);
      block += Tile::kHeaderBytes;
    }
    for (uint32_t first = 0; first < cols; first += kBlock, block += Tile::kBlockBytes) {
      if constexpr (!kHasRowScales) {
        uint16_t half;
        memcpy(&half, block + tile_row * 2, 2);
        scale = widen_half(half);
      }
      const uint8_t* wide = block + Tile::kScaleBytes;
      uint8_t unpacked[kWideBlockBytes];
      if constexpr (Tile::kIsFourBits) {
        unpack_blocks(block, 1, unpacked);
        wide = unpacked;
      }
      for (uint32_t col = 0; col < kBlock; ++col) {
        const auto code = static_cast<int8_t>(wide[Kernel::code_offset(tile_row, col)]);
        const float value = scale * static_cast<float>(code);
        out[first + col] = kHasRowScales ? mean + value : value;
      }
    }
  }

  static size_t prepared_bytes(uint32_t tokens, uint32_t cols) noexcept {
    return (size_t{tokens} + kUnitTokens - 1) / kUnitTokens * unit_bytes(cols);
  }

  // Of the unit of a token.
  struct Unit {
    const int8_t* codes;
    const float* scales;
    const float* sums;
  };
  static Unit unit_of(const void* prepared, uint32_t token, uint32_t cols) noexcept {
    const size_t blocks = size_t{cols} / kBlock;
    const auto* codes = static_cast<const int8_t*>(prepared) + token / kUnitTokens * unit_bytes(cols);
    const auto* scales = reinterpret_cast<const float*>(codes + blocks * Kernel::kUnitBlockCodes);
    return {codes, scales, scales + blocks * Kernel::kUnitBlockScales};
  }

  // Columns [first_col, end_col) of one unit, of which kPresent tokens exist; the others' codes and scales
  // are 0.
  template <uint32_t kPresent>
  static void prepare_unit(const PrepareJob* job, const float* x, uint32_t token) noexcept {
    const uint32_t first_block = job->first_col / kBlock;
    const Unit unit = unit_of(job->prepared, token, job->cols);
    auto* codes = const_cast<int8_t*>(unit.codes) + size_t{first_block} * Kernel::kUnitBlockCodes;
    auto* scales = const_cast<float*>(unit.scales) + size_t{first_block} * Kernel::kUnitBlockScales;
    auto* sums = const_cast<float*>(unit.sums) + size_t{first_block} * kUnitTokens;
    const auto store = [&](const int8x16_t(&block_codes)[kUnitTokens][2], float32x4_t block_scales) {
      Kernel::store_unit(block_codes, block_scales, codes, scales);
      codes += Kernel::kUnitBlockCodes;
      scales += Kernel::kUnitBlockScales;
      if constexpr (kHasRowScales) {
#pragma GCC unroll 2
        for (uint32_t t = 0; t < kUnitTokens; ++t) {
          const int16x8_t pairs = vpadalq_s8(vpaddlq_s8(block_codes[t][0]), block_codes[t][1]);
          sums[t] = static_cast<float>(vaddlvq_s16(pairs));
        }
        sums += kUnitTokens;
      }
    };
    // Two blocks at once: of two tokens, or of one token's next columns, if there are more.
    constexpr uint32_t kColumns = kBlock * 2 / kUnitTokens;
    static constexpr float kZeros[kBlock] = {};
    for (uint32_t col = job->first_col; col < job->end_col; col += kColumns, x += kColumns) {
      const bool has_more = col + kBlock < job->end_col;
      int8x16_t block_codes[2][2];
      if constexpr (kUnitTokens == 2) {
        const float* second = kPresent == 2 ? x + job->x_stride : kZeros;
        const float32x4_t block_scales = quantize_blocks(x, second, block_codes);
        store(block_codes, block_scales);
      } else {
        const float32x4_t block_scales = quantize_blocks(x, has_more ? x + kBlock : x, block_codes);
        store({{block_codes[0][0], block_codes[0][1]}}, block_scales);
        if (has_more)
          store({{block_codes[1][0], block_codes[1][1]}}, vextq_f32(block_scales, block_scales, 1));
      }
    }
  }

  static void prepare(const PrepareJob* job) noexcept {
    for (uint32_t token = job->first_token; token < job->end_token; token += kUnitTokens) {
      const float* x = job->x + (token - job->first_token) * job->x_stride;
      if (token + kUnitTokens <= job->end_token) {
        prepare_unit<kUnitTokens>(job, x, token);
      } else {
        prepare_unit<1>(job, x, token);
      }
    }
  }

  // The xs of kernel_table.h of kUnits units.
  template <uint32_t kUnits>
  static void sum_units(const Unit& first, size_t unit_bytes, uint32_t blocks, float* out) noexcept {
    const size_t stride = unit_bytes / sizeof(float);
    float total[kUnits][kUnitTokens] = {};
    for (uint32_t b = 0; b < blocks; ++b) {
#pragma GCC unroll 8
      for (uint32_t u = 0; u < kUnits; ++u) {
#pragma GCC unroll 2
        for (uint32_t t = 0; t < kUnitTokens; ++t) {
          const float scale = first.scales[u * stride + b * Kernel::kUnitBlockScales + t];
          total[u][t] = __builtin_fmaf(first.sums[u * stride + b * kUnitTokens + t], scale, total[u][t]);
        }
      }
    }
    memcpy(out, total, sizeof total);
  }

  // Of the units of tokens [first, end), at most kCodesTokensAtOnce.
  static void sum_activations(const LinearJob* job, uint32_t first, uint32_t end, float* out) noexcept {
    const uint32_t blocks = job->cols / kBlock;
    const size_t bytes = unit_bytes(job->cols);
    while (first < end) {
      const Unit unit = unit_of(job->activations, first, job->cols);
      const bool is_full = end - first >= kCodesUnits * kUnitTokens;
      is_full ? sum_units<kCodesUnits>(unit, bytes, blocks, out) : sum_units<1>(unit, bytes, blocks, out);
      const uint32_t tokens = (is_full ? kCodesUnits : 1) * kUnitTokens;
      first += tokens;
      out += tokens;
    }
  }

  // What turns the sums of a tile into its products: nothing, or the rows' scales and means.
  struct NoScales {
    static constexpr bool has_means = false;
    explicit NoScales(const uint8_t*) noexcept {}
    void apply(float32x4_t (&)[2], const float*) const noexcept {}
  };
  struct RowScales {
    float32x4_t scale[2];
    float32x4_t mean[2];
    uint32x4_t is_zero[2];  // the mean
    bool has_means;

    explicit RowScales(const uint8_t* tile) noexcept {
      const auto* header = reinterpret_cast<const float*>(tile);
      for (uint32_t half = 0; half < 2; ++half) {
        scale[half] = vld1q_f32(header + half * kLanes);
        mean[half] = vld1q_f32(header + kCodesTileRows + half * kLanes);
        is_zero[half] = vceqzq_f32(mean[half]);
      }
      has_means = vminvq_u32(vandq_u32(is_zero[0], is_zero[1])) == 0;
    }
    void apply(float32x4_t (&out)[2], const float* x_sum) const noexcept {
#pragma GCC unroll 2
      for (uint32_t half = 0; half < 2; ++half) {
        out[half] = vmulq_f32(out[half], scale[half]);
        if (!has_means) continue;
        const float32x4_t whole = vfmaq_n_f32(out[half], mean[half], *x_sum);
        out[half] = vbslq_f32(is_zero[half], out[half], whole);
      }
    }
  };
  using Finish = typename Choice<kHasRowScales, RowScales, NoScales>::Type;

  // The xs of some tokens, known once a tile has asked for them.
  struct ActivationSums {
    float of[kHasRowScales ? kCodesTokensAtOnce + kUnitTokens : 1] = {};
    bool is_known = false;

    void want(const LinearJob* job, uint32_t first, uint32_t end) noexcept {
      if (!is_known) sum_activations(job, first, end, of);
      is_known = true;
    }
  };

  static void add_units(uint32_t units, CodesPiece piece) noexcept {
    for (; units >= kCodesUnits; units -= kCodesUnits) {
      Kernel::template add_blocks<Tile, kCodesUnits>(piece);
      piece.codes += kCodesUnits * piece.unit_bytes;
      piece.scales += kCodesUnits * piece.unit_bytes / sizeof(float);
      piece.sums += kCodesUnits * kUnitTokens * kCodesTileRows;
    }
    switch (units) {
      case 3:
        return Kernel::template add_blocks<Tile, 3>(piece);
      case 2:
        return Kernel::template add_blocks<Tile, 2>(piece);
      case 1:
        return Kernel::template add_blocks<Tile, 1>(piece);
      default:
        return;
    }
  }

  // Tokens [first, end), at most kCodesTokensAtOnce, with the tile of `row`.
  static void multiply_tile(const LinearJob* job, uint32_t row, uint32_t first, uint32_t end,
                            ActivationSums& x_sums) noexcept {
    alignas(64) float sums[kCodesTokensAtOnce * kCodesTileRows];
    const uint32_t units = (end - first + kUnitTokens - 1) / kUnitTokens;
    const uint32_t blocks = job->cols / kBlock;
    const uint8_t* tile = tile_of(job->weights, row, job->cols);
    const Unit unit = unit_of(job->activations, first, job->cols);
    for (uint32_t block = 0; block < blocks; block += kCodesBlocksAtOnce) {
      const uint32_t count = blocks - block < kCodesBlocksAtOnce ? blocks - block : kCodesBlocksAtOnce;
      const uint8_t* packed = tile + Tile::kHeaderBytes + size_t{block} * Tile::kBlockBytes;
      alignas(64) float wide_scales[kHasRowScales ? 1 : kCodesBlocksAtOnce * Kernel::kWideScales];
      if constexpr (!kHasRowScales) {
        for (uint32_t i = 0; i < count; ++i) {
          const auto* halves = reinterpret_cast<const uint16_t*>(packed + i * Tile::kBlockBytes);
          Kernel::widen_scales(halves, wide_scales + i * Kernel::kWideScales);
        }
      }
      const uint8_t* weights = packed + Tile::kScaleBytes;
      alignas(64) uint8_t unpacked[Tile::kIsFourBits ? kCodesBlocksAtOnce * kWideBlockBytes : 1];
      if constexpr (Tile::kIsFourBits) {
        unpack_blocks(packed, count, unpacked);
        weights = unpacked;
      }
      add_units(units, {weights, wide_scales, unit.codes + size_t{block} * Kernel::kUnitBlockCodes,
                        unit.scales + size_t{block} * Kernel::kUnitBlockScales, unit_bytes(job->cols), count,
                        sums, block == 0});
    }
    const Finish finish(tile);
    if (finish.has_means) x_sums.want(job, first, end);
    store_tokens(job, row, first, end, sums, finish, x_sums.of);
  }

  static void store_tokens(const LinearJob* job, uint32_t row, uint32_t first, uint32_t end,
                           const float* sums, const Finish& finish, const float* x_sums) noexcept {
    if (row + kCodesTileRows > job->end_row) {
      store_units(first, end, sums, finish, x_sums, [&](uint32_t token, const float32x4_t(&out)[2]) {
        store_tile(job, token, row, out[0], out[1]);
      });
    } else if (job->bias != nullptr && job->add_to_out) {
      store_whole_tile<true, true>(job, row, first, end, sums, finish, x_sums);
    } else if (job->bias != nullptr) {
      store_whole_tile<true, false>(job, row, first, end, sums, finish, x_sums);
    } else if (job->add_to_out) {
      store_whole_tile<false, true>(job, row, first, end, sums, finish, x_sums);
    } else {
      store_whole_tile<false, false>(job, row, first, end, sums, finish, x_sums);
    }
  }

  template <typename Store>
  [[gnu::always_inline]] static void store_units(uint32_t first, uint32_t end, const float* sums,
                                                 const Finish& finish, const float* x_sums,
                                                 Store store) noexcept {
    for (uint32_t token = first; token < end; token += kUnitTokens) {
      float32x4_t out[kUnitTokens][2];
      Kernel::outputs(sums, out);
#pragma GCC unroll 2
      for (uint32_t t = 0; t < kUnitTokens; ++t) {
        if (token + t < end) {
          finish.apply(out[t], x_sums + (kHasRowScales ? token + t - first : 0));
          store(token + t, out[t]);
        }
      }
      sums += kUnitTokens * kCodesTileRows;
    }
  }

  template <bool kBias, bool kAdd>
  static void store_whole_tile(const LinearJob* job, uint32_t row, uint32_t first, uint32_t end,
                               const float* sums, const Finish& finish, const float* x_sums) noexcept {
    const float32x4_t low_bias = kBias ? vld1q_f32(job->bias + row) : vdupq_n_f32(0);
    const float32x4_t high_bias = kBias ? vld1q_f32(job->bias + row + kLanes) : vdupq_n_f32(0);
    float* to = job->out + (first - job->first_token) * job->out_stride + (row - job->first_row);
    const size_t stride = job->out_stride;
    store_units(first, end, sums, finish, x_sums, [&](uint32_t, const float32x4_t(&out)[2]) {
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
    ActivationSums x_sums;
    for_job_in_streams<kMostStreams<kLanes>, kCodesTileRows>(
        *job, [&]<uint32_t kStreams>(uint32_t tile, uint32_t apart) {
          multiply_tiles<kStreams>(job, tile, apart, x_sums);
        });
  }

  // One token with kStreams tiles, `apart` tiles from each other.
  template <uint32_t kStreams>
  static void multiply_tiles(const LinearJob* job, uint32_t first_tile, uint32_t apart,
                             ActivationSums& x_sums) noexcept {
    const Unit unit = unit_of(job->activations, job->first_token, job->cols);
    const uint8_t* tile = tile_of(job->weights, first_tile * kCodesTileRows, job->cols);
    const size_t bytes_apart = apart * tile_bytes(job->cols);
    float32x4_t out[kStreams][2];
    Kernel::template one_token<Tile, kStreams>(tile + Tile::kHeaderBytes, bytes_apart, unit.codes,
                                               unit.scales, job->cols / kBlock, out);
#pragma GCC unroll 4
    for (uint32_t i = 0; i < kStreams; ++i) {
      const Finish finish(tile + i * bytes_apart);
      if (finish.has_means) x_sums.want(job, job->first_token, job->first_token + 1);
      finish.apply(out[i], x_sums.of);
      store_tile(job, job->first_token, (first_tile + i * apart) * kCodesTileRows, out[i][0], out[i][1]);
    }
  }

  static void multiply(const LinearJob* job) noexcept {
    if (job->end_token - job->first_token == 1) return multiply_one_token(job);
    for (uint32_t first = job->first_token; first < job->end_token; first += kCodesTokensAtOnce) {
      const uint32_t end =
          job->end_token - first < kCodesTokensAtOnce ? job->end_token : first + kCodesTokensAtOnce;
      ActivationSums x_sums;
      for (uint32_t row = job->first_row; row < job->end_row; row += kCodesTileRows)
        multiply_tile(job, row, first, end, x_sums);
    }
  }

  static constexpr LinearKernels kernels() {
    return {kCodesTileRows, kUnitTokens,    tile_bytes, pack_tile,
            unpack_row,     prepared_bytes, prepare,    multiply};
  }
};

}  // namespace stonechat::neon
