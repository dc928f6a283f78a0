// Products with integer codes on x86, for any width of vectors and any of the formats in code_formats.h: all
// but the instructions that multiply codes, which are given as `Dot`.
//
// A tile is two vectors of rows. Where rows have scales, it begins with the rows' scales and then their
// means, as floats. Then block after block: the rows' scales (binary16; none where rows have scales), then
// their codes, a few consecutive columns of each row at a time (a step: as many as one lane of Dot's
// multiplication takes). Codes of 4 bits share bytes: an even step's are the low halves of those of the next
// step.
//
// Activations are prepared in groups of Dot::kGroupTokens tokens, the last of what is left. A group is stored
// block after block: the codes of each token, then their scales, then (where Dot or the format wants them)
// the sums of the codes, times kSumFactor.
//
// `Dot` gives:
//   Simd, Integers                    vectors of floats (simd_attention.h), of integer sums
//   Code                              an activation's code as stored
//   kStepCols, kGroupTokens
//   kUnsigned                         whether codes of weights are stored with 2^(bits - 1) added, so that
//   they
//                                     aren't negative; integer sums then start at minus that times the sum of
//                                     the activations' codes, which makes them exact again
//   kWidens                           whether codes of 8 bits are widened once for several groups of tokens,
//                                     as those of 4 bits always are
//   load(8-bit codes), load_low(4-bit codes), load_high(4-bit codes), load_wide(widened), store_wide(weights,
//   out)                              the weights of a step and a vector of rows
//   broadcast(codes), begin(start), add(sum, weights, operand), to_float(sum, start)
//   quantize(32 values, inverse scale, codes): returns the sum of the codes
//   largest(32 values): of their magnitudes
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/code_formats.h"

namespace stonechat {

template <typename Dot, typename Format>
class SimdLinearCodes {
 public:
  static constexpr LinearKernels kernels() {
    return {kTileRows, kGroup, tile_bytes, pack_tile, unpack_row, prepared_bytes, prepare, multiply};
  }

 private:
  using Simd = typename Dot::Simd;
  using Vector = typename Simd::Vector;
  using Integers = typename Dot::Integers;
  using Code = typename Dot::Code;

  static constexpr bool kHasRowScales = Format::kHasRowScales;
  static constexpr bool kIsFourBits = Format::kCodeBits == 4;
  static constexpr bool kWidens = Dot::kWidens || kIsFourBits;

  static constexpr uint32_t kLanes = Simd::kLanes;
  static constexpr uint32_t kTileRows = 2 * kLanes;
  static constexpr uint32_t kHeaderBytes = kHasRowScales ? 2 * kTileRows * sizeof(float) : 0;
  static constexpr uint32_t kScaleBytes = kHasRowScales ? 0 : kTileRows * 2;
  static constexpr uint32_t kBlockBytes = kScaleBytes + kTileRows * kBlock * Format::kCodeBits / 8;
  static constexpr uint32_t kStep = Dot::kStepCols;
  static constexpr uint32_t kVectorCodes = kLanes * kStep;  // of a step and a vector of rows
  static constexpr uint8_t kOffset = Dot::kUnsigned ? 1 << (Format::kCodeBits - 1) : 0;  // of stored codes

  static constexpr uint32_t kGroup = Dot::kGroupTokens;
  static constexpr uint32_t kCodeBytes = kBlock * sizeof(Code);
  static constexpr bool kHasSums = Dot::kUnsigned || kHasRowScales;
  static constexpr int32_t kSumFactor = Dot::kUnsigned ? -int32_t{kOffset} : 1;
  static constexpr uint32_t kTokenBytes = kCodeBytes + (kHasSums ? 8 : 4);  // of a block of one token

  static constexpr uint32_t kTokensAtOnce = 96;  // whose activations stay in the second-level cache
  // Of a tile, whose weights stay in the first-level cache.
  static constexpr uint32_t kBlocksAtOnce = kWidens ? 16 : 32;
  // How far ahead weights are asked for. With 4 kB or more a core of Zen 4 reads codes of 4 bits a third
  // slower, codes of 8 bits from 9 kB on.
  static constexpr uint32_t kPrefetchBytes = kIsFourBits ? 2048 : 6144;
  // The locality of __builtin_prefetch() that stops there: a core can wait for more lines in it than in the
  // first-level cache.
  static constexpr int kSecondLevel = 2;
  static_assert(kTokensAtOnce >= kGroup);

  static size_t tile_bytes(uint32_t cols) noexcept {
    return (kHeaderBytes + size_t{cols} / kBlock * kBlockBytes + 63) / 64 * 64;
  }

  // Of a row, in a block behind its scales.
  static void pack_codes(const int8_t (&codes)[kBlock], uint32_t row, uint8_t* out) noexcept {
    out += row * kStep;
    if constexpr (kIsFourBits) {
      for (uint32_t col = 0; col < kBlock; col += 2 * kStep, out += kTileRows * kStep) {
        for (uint32_t i = 0; i < kStep; ++i)
          out[i] = static_cast<uint8_t>((codes[col + i] + kOffset) | (codes[col + kStep + i] + kOffset) << 4);
      }
    } else {
      for (uint32_t col = 0; col < kBlock; col += kStep, out += kTileRows * kStep) {
        for (uint32_t i = 0; i < kStep; ++i) out[i] = static_cast<uint8_t>(codes[col + i] + kOffset);
      }
    }
  }

  static int32_t unpack_code(const uint8_t* codes, uint32_t row, uint32_t col) noexcept {
    const uint32_t step = col / kStep;
    if constexpr (kIsFourBits) {
      const uint8_t both = codes[(step / 2 * kTileRows + row) * kStep + col % kStep];
      return (step % 2 == 0 ? both & 15 : both >> 4) - kOffset;
    } else {
      const auto code = static_cast<uint8_t>(codes[(step * kTileRows + row) * kStep + col % kStep] - kOffset);
      return static_cast<int8_t>(code);
    }
  }

  static void pack_tile(const void* source, uint32_t rows, uint32_t cols, void* tile) noexcept {
    auto* out = static_cast<uint8_t*>(tile);
    if constexpr (kHasRowScales) {
      memset(out, 0, kHeaderBytes);
      for (uint32_t row = 0; row < rows; ++row) {
        const uint8_t* header = stored_block<Format>(source, row, cols, 0) - Format::kHeaderBytes;
        memcpy(out + row * 4, header, 4);
        memcpy(out + (kTileRows + row) * 4, header + 4, 4);
      }
      out += kHeaderBytes;
    }
    for (uint32_t block = 0; block < cols / kBlock; ++block, out += kBlockBytes) {
      if constexpr (!kHasRowScales) memset(out, 0, kScaleBytes);
      for (uint32_t row = 0; row < kTileRows; ++row) {
        int8_t codes[kBlock] = {};
        if (row < rows) {
          const uint8_t* stored = stored_block<Format>(source, row, cols, block);
          if constexpr (!kHasRowScales) memcpy(out + row * 2, stored, 2);
          Format::read_codes(stored, codes);
        }
        pack_codes(codes, row, out + kScaleBytes);
      }
    }
  }

  static void unpack_row(const void* pack, uint32_t row, uint32_t cols, float* out) noexcept {
    const uint8_t* block = static_cast<const uint8_t*>(pack) + row / kTileRows * tile_bytes(cols);
    row %= kTileRows;
    float scale = 0;
    float mean = 0;
    if constexpr (kHasRowScales) {
      memcpy(&scale, block + row * 4, 4);
      memcpy(&mean, block + (kTileRows + row) * 4, 4);
      block += kHeaderBytes;
    }
    for (uint32_t first = 0; first < cols; first += kBlock, block += kBlockBytes) {
      if constexpr (!kHasRowScales) {
        uint16_t half;
        memcpy(&half, block + row * 2, 2);
        scale = Simd::widen_one_half(half);
      }
      for (uint32_t col = 0; col < kBlock; ++col) {
        const float value = scale * static_cast<float>(unpack_code(block + kScaleBytes, row, col));
        out[first + col] = kHasRowScales ? mean + value : value;
      }
    }
  }

  static size_t prepared_bytes(uint32_t tokens, uint32_t cols) noexcept {
    return (size_t{tokens} * (cols / kBlock) * kTokenBytes + 63) / 64 * 64;
  }

  // Where the group begins whose first token this is.
  static size_t group_offset(uint32_t first_token, uint32_t cols) noexcept {
    return size_t{first_token} * (cols / kBlock) * kTokenBytes;
  }

  static void prepare(const PrepareJob* job) noexcept {
    for (uint32_t first = job->first_token; first < job->end_token; first += kGroup) {
      const uint32_t tokens = job->end_token - first < kGroup ? job->end_token - first : kGroup;
      uint8_t* group = static_cast<uint8_t*>(job->prepared) + group_offset(first, job->cols);
      for (uint32_t t = 0; t < tokens; ++t) {
        const float* x = job->x + (first - job->first_token + t) * job->x_stride;
        for (uint32_t col = job->first_col; col < job->end_col; col += kBlock, x += kBlock) {
          prepare_block(x, t, tokens, group + size_t{col} / kBlock * tokens * kTokenBytes);
        }
      }
    }
  }

  static void prepare_block(const float* x, uint32_t token, uint32_t tokens, uint8_t* block) noexcept {
    const float largest = Dot::largest(x);
    const bool is_zero = largest <= 1e-30F;
    const float scale = is_zero ? 0.0F : largest / 127.0F;
    const float inverse = is_zero ? 0.0F : 127.0F / largest;
    const int32_t sum = Dot::quantize(x, inverse, reinterpret_cast<Code*>(block) + token * kBlock);
    memcpy(block + tokens * kCodeBytes + token * 4, &scale, 4);
    if constexpr (kHasSums) {
      const int32_t stored = kSumFactor * sum;
      memcpy(block + tokens * (kCodeBytes + 4) + token * 4, &stored, 4);
    }
  }

  // The xs of kernel_table.h of tokens [first, end), at most kTokensAtOnce.
  static void sum_activations(const LinearJob* job, uint32_t first, uint32_t end, float* out) noexcept {
    for (uint32_t token = first; token < end; token += kGroup, out += kGroup) {
      const uint32_t tokens = end - token < kGroup ? end - token : kGroup;
      const uint8_t* group = static_cast<const uint8_t*>(job->activations) + group_offset(token, job->cols);
      for (uint32_t t = 0; t < tokens; ++t) out[t] = 0;
      for (uint32_t block = 0; block < job->cols / kBlock; ++block, group += tokens * kTokenBytes) {
        const auto* scales = reinterpret_cast<const float*>(group + tokens * kCodeBytes);
        const auto* sums = reinterpret_cast<const int32_t*>(scales + tokens);
        for (uint32_t t = 0; t < tokens; ++t)
          out[t] = __builtin_fmaf(static_cast<float>(sums[t] / kSumFactor), scales[t], out[t]);
      }
    }
  }

  // How add_blocks() finds a block's scales, and behind them its codes.
  struct Packed {
    static constexpr bool kIsWide = false;
    static constexpr uint32_t kScaleBytes = SimdLinearCodes::kScaleBytes;
    static constexpr uint32_t kBytes = kBlockBytes;
    static Vector load_scales(const uint8_t* block, uint32_t half) {
      return Simd::widen_half(reinterpret_cast<const uint16_t*>(block) + half * kLanes);
    }
    static auto load(const uint8_t* codes, uint32_t step, uint32_t half) {
      if constexpr (kIsFourBits) {
        const uint8_t* both = codes + (step / 2 * 2 + half) * kVectorCodes;
        return step % 2 == 0 ? Dot::load_low(both) : Dot::load_high(both);
      } else {
        return Dot::load(codes + (2 * step + half) * kVectorCodes);
      }
    }
  };
  struct Widened {
    static constexpr bool kIsWide = true;
    static constexpr uint32_t kScaleBytes = kHasRowScales ? 0 : kTileRows * sizeof(float);
    static constexpr uint32_t kBytes = kScaleBytes + 2 * kBlock / kStep * sizeof(Integers);
    static Vector load_scales(const uint8_t* block, uint32_t half) {
      return Simd::load(reinterpret_cast<const float*>(block) + half * kLanes);
    }
    static auto load(const uint8_t* codes, uint32_t step, uint32_t half) {
      return Dot::load_wide(codes + (2 * step + half) * sizeof(Integers));
    }
  };

  static void prefetch_block(const uint8_t* block) noexcept {
    for (uint32_t byte = 0; byte < kBlockBytes; byte += 64)
      __builtin_prefetch(block + byte + kPrefetchBytes, 0, kSecondLevel);
  }

  static void widen_blocks(const uint8_t* packed, uint32_t blocks, uint8_t* widened) noexcept {
    for (uint32_t block = 0; block < blocks; ++block) {
      prefetch_block(packed);
      if constexpr (!kHasRowScales) {
        for (uint32_t half = 0; half < 2; ++half)
          Simd::store(reinterpret_cast<float*>(widened) + half * kLanes, Packed::load_scales(packed, half));
      }
#pragma GCC unroll 16
      for (uint32_t step = 0; step < kBlock / kStep; ++step) {
        for (uint32_t half = 0; half < 2; ++half) {
          Dot::store_wide(widened + Widened::kScaleBytes + (2 * step + half) * sizeof(Integers),
                          Packed::load(packed + Packed::kScaleBytes, step, half));
        }
      }
      packed += Packed::kBytes;
      widened += Widened::kBytes;
    }
  }

  // Adds `blocks` blocks of a tile times those of a group of kTokens to the sums: two vectors a token.
  // kFirst: there is nothing in the sums yet. kAhead: lines of weights are asked for ahead of need.
  template <typename Form, uint32_t kTokens, bool kFirst, bool kAhead>
  static void add_blocks(const uint8_t* weights, const uint8_t* group, uint32_t blocks,
                         float* sums) noexcept {
    Vector sum[kTokens][2];
    for (uint32_t t = 0; t < kTokens; ++t) {
      for (uint32_t v = 0; v < 2; ++v)
        sum[t][v] = kFirst ? Simd::broadcast(0) : Simd::load(sums + (2 * t + v) * kLanes);
    }
    for (uint32_t block = 0; block < blocks;
         ++block, weights += Form::kBytes, group += kTokens * kTokenBytes) {
      const auto* codes = reinterpret_cast<const Code*>(group);
      const auto* scales = reinterpret_cast<const float*>(group + kTokens * kCodeBytes);
      const float* starts = scales + kTokens;  // their bits are integers
      Integers dot[kTokens][2];
      for (uint32_t t = 0; t < kTokens; ++t) dot[t][0] = dot[t][1] = Dot::begin(starts + t);
      if constexpr (kAhead) prefetch_block(weights);
#pragma GCC unroll 8
      for (uint32_t step = 0; step < kBlock / kStep; ++step) {
        const auto low = Form::load(weights + Form::kScaleBytes, step, 0);
        const auto high = Form::load(weights + Form::kScaleBytes, step, 1);
        for (uint32_t t = 0; t < kTokens; ++t) {
          const auto x = Dot::broadcast(codes + t * kBlock + step * kStep);
          dot[t][0] = Dot::add(dot[t][0], low, x);
          dot[t][1] = Dot::add(dot[t][1], high, x);
        }
      }
      if constexpr (kHasRowScales) {
        for (uint32_t t = 0; t < kTokens; ++t) {
          const Vector scale = Simd::broadcast(scales[t]);
          for (uint32_t v = 0; v < 2; ++v)
            sum[t][v] = Simd::fma(Dot::to_float(dot[t][v], starts + t), scale, sum[t][v]);
        }
      } else {
        const Vector low_scales = Form::load_scales(weights, 0);
        const Vector high_scales = Form::load_scales(weights, 1);
        for (uint32_t t = 0; t < kTokens; ++t) {
          const Vector scale = Simd::broadcast(scales[t]);
          sum[t][0] =
              Simd::fma(Dot::to_float(dot[t][0], starts + t), Simd::multiply(low_scales, scale), sum[t][0]);
          sum[t][1] =
              Simd::fma(Dot::to_float(dot[t][1], starts + t), Simd::multiply(high_scales, scale), sum[t][1]);
        }
      }
    }
    for (uint32_t t = 0; t < kTokens; ++t) {
      for (uint32_t v = 0; v < 2; ++v) Simd::store(sums + (2 * t + v) * kLanes, sum[t][v]);
    }
  }

  // add_blocks() of as many tokens as there are, at most kMost.
  template <typename Form, bool kFirst, bool kAhead, uint32_t kMost = kGroup>
  static void add_group(uint32_t tokens, const uint8_t* weights, const uint8_t* group, uint32_t blocks,
                        float* sums) noexcept {
    if constexpr (kMost > 1) {
      if (tokens < kMost) {
        return add_group<Form, kFirst, kAhead, kMost - 1>(tokens, weights, group, blocks, sums);
      }
    }
    add_blocks<Form, kMost, kFirst, kAhead>(weights, group, blocks, sums);
  }

  // Adds some blocks of a tile times those of tokens [first, end).
  template <typename Form, bool kFirst>
  static void add_tokens(const LinearJob* job, const uint8_t* weights, uint32_t block, uint32_t blocks,
                         uint32_t first, uint32_t end, float* sums) noexcept {
    for (uint32_t token = first; token < end; token += kGroup) {
      const uint32_t tokens = end - token < kGroup ? end - token : kGroup;
      const uint8_t* group = static_cast<const uint8_t*>(job->activations) + group_offset(token, job->cols) +
                             size_t{block} * tokens * kTokenBytes;
      float* group_sums = sums + (token - first) * kTileRows;
      // The first group meets packed weights that are in no cache yet.
      if (!Form::kIsWide && token == first) {
        add_group<Form, kFirst, true>(tokens, weights, group, blocks, group_sums);
      } else {
        add_group<Form, kFirst, false>(tokens, weights, group, blocks, group_sums);
      }
    }
  }

  // Tokens [first, end), at most kTokensAtOnce, with one tile. x_sums: of these tokens, where means are.
  static void multiply_tile(const LinearJob* job, uint32_t row, uint32_t first, uint32_t end,
                            const float* x_sums) noexcept {
    alignas(64) float sums[kTokensAtOnce * kTileRows];
    const uint8_t* tile = tile_of(job, row);
    const uint32_t blocks = job->cols / kBlock;
    for (uint32_t block = 0; block < blocks; block += kBlocksAtOnce) {
      const uint32_t count = blocks - block < kBlocksAtOnce ? blocks - block : kBlocksAtOnce;
      const uint8_t* weights = tile + kHeaderBytes + size_t{block} * kBlockBytes;
      if constexpr (kWidens) {
        if (end - first > kGroup) {
          alignas(64) uint8_t widened[kBlocksAtOnce * Widened::kBytes];
          widen_blocks(weights, count, widened);
          block == 0 ? add_tokens<Widened, true>(job, widened, block, count, first, end, sums)
                     : add_tokens<Widened, false>(job, widened, block, count, first, end, sums);
          continue;
        }
      }
      block == 0 ? add_tokens<Packed, true>(job, weights, block, count, first, end, sums)
                 : add_tokens<Packed, false>(job, weights, block, count, first, end, sums);
    }
    if constexpr (kHasRowScales) {
      store_scaled(job, reinterpret_cast<const float*>(tile), row, first, end, sums, x_sums);
    } else {
      for (uint32_t token = first; token < end; ++token) {
        const float* token_sums = sums + (token - first) * kTileRows;
        Simd::store_outputs(job, token, row, Simd::load(token_sums));
        Simd::store_outputs(job, token, row + kLanes, Simd::load(token_sums + kLanes));
      }
    }
  }

  static void store_scaled(const LinearJob* job, const float* header, uint32_t row, uint32_t first,
                           uint32_t end, const float* sums, const float* x_sums) noexcept {
    for (uint32_t half = 0; half < 2; ++half, header += kLanes, sums += kLanes, row += kLanes) {
      const Vector scale = Simd::load(header);
      const Vector mean = Simd::load(header + kTileRows);
      for (uint32_t token = first; token < end; ++token) {
        const Vector scaled = Simd::multiply(Simd::load(sums + (token - first) * kTileRows), scale);
        const Vector whole =
            x_sums == nullptr ? scaled
                              : Simd::fma_unless_zero(mean, Simd::broadcast(x_sums[token - first]), scaled);
        Simd::store_outputs(job, token, row, whole);
      }
    }
  }

  static const uint8_t* tile_of(const LinearJob* job, uint32_t row) noexcept {
    return static_cast<const uint8_t*>(job->weights) + row / kTileRows * tile_bytes(job->cols);
  }

  static bool has_means(const LinearJob* job, uint32_t row) noexcept {
    const auto* means = reinterpret_cast<const float*>(tile_of(job, row)) + kTileRows;
    bool has = false;
    for (uint32_t i = 0; i < kTileRows; ++i) has |= means[i] != 0;
    return has;
  }

  static void multiply(const LinearJob* job) noexcept {
    for (uint32_t first = job->first_token; first < job->end_token; first += kTokensAtOnce) {
      const uint32_t end = job->end_token - first < kTokensAtOnce ? job->end_token : first + kTokensAtOnce;
      float x_sums[kHasRowScales ? kTokensAtOnce : 1];
      bool is_summed = false;
      for (uint32_t row = job->first_row; row < job->end_row; row += kTileRows) {
        const bool wants_sums = kHasRowScales && has_means(job, row);
        if (wants_sums && !is_summed) sum_activations(job, first, end, x_sums);
        is_summed |= wants_sums;
        multiply_tile(job, row, first, end, wants_sums ? x_sums : nullptr);
      }
    }
  }
};

}  // namespace stonechat
