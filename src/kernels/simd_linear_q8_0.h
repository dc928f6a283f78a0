// Q8_0 products on x86, for any width of vectors: all but the instructions that multiply codes, which are
// given as `Dot`.
//
// A tile is two vectors of rows, block after block: the rows' scales (binary16), then their codes, a few
// consecutive columns of each row at a time (a step: as many as one lane of Dot's multiplication takes).
//
// Activations are prepared in groups of Dot::kGroupTokens tokens, the last of what is left. A group is stored
// block after block: the codes of each token, then their scales, then (where Dot wants them) where their
// integer sums start.
//
// `Dot` gives:
//   Simd, Integers                    vectors of floats (simd_attention.h), of integer sums
//   Code                              an activation's code as stored
//   kStepCols, kGroupTokens
//   kFlip                             what a stored code of a weight is xored with: 0x80 adds 128 to it
//   kWidens                           whether codes of weights are widened once for several groups of tokens:
//                                     then widen(32 stored codes, 64 bytes out), load_wide(widened)
//   load(stored), broadcast(codes), add(sum, weights, operand), to_float(sum)
//   quantize(32 values, inverse scale, codes): returns the sum of the codes
//   largest(32 values): of their magnitudes
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/kernel_table.h"

namespace stonechat {

template <typename Dot>
class SimdLinearQ8 {
 public:
  static constexpr LinearKernels kernels() {
    return {kTileRows, kGroup, tile_bytes, pack_tile, unpack_row, prepared_bytes, prepare, multiply};
  }

 private:
  using Simd = typename Dot::Simd;
  using Vector = typename Simd::Vector;
  using Integers = typename Dot::Integers;
  using Code = typename Dot::Code;

  static constexpr uint32_t kLanes = Simd::kLanes;
  static constexpr uint32_t kTileRows = 2 * kLanes;
  static constexpr uint32_t kScaleBytes = kTileRows * 2;
  static constexpr uint32_t kBlockBytes = kScaleBytes + kTileRows * kBlock;
  static constexpr uint32_t kStoredBytes = 2 + kBlock;  // of a block of one row in a file
  static constexpr uint32_t kStep = Dot::kStepCols;
  static constexpr uint32_t kGroup = Dot::kGroupTokens;
  static constexpr uint32_t kCodeBytes = kBlock * sizeof(Code);
  static constexpr bool kHasStarts = Dot::kFlip != 0;
  static constexpr uint32_t kTokenBytes = kCodeBytes + (kHasStarts ? 8 : 4);  // of a block of one token

  static constexpr uint32_t kTokensAtOnce = 96;  // whose activations stay in the second-level cache
  // Of a tile, whose weights stay in the first-level cache.
  static constexpr uint32_t kBlocksAtOnce = Dot::kWidens ? 16 : 32;
  static constexpr uint32_t kPrefetchBytes = 6144;
  // The locality of __builtin_prefetch() that stops there: a core can wait for more lines in it than in the
  // first-level cache.
  static constexpr int kSecondLevel = 2;
  static_assert(kTokensAtOnce % kGroup == 0);

  static size_t tile_bytes(uint32_t cols) noexcept {
    return (size_t{cols} / kBlock * kBlockBytes + 63) / 64 * 64;
  }

  static uint8_t* code_at(uint8_t* block, uint32_t row, uint32_t col) noexcept {
    return block + kScaleBytes + (col / kStep * kTileRows + row) * kStep + col % kStep;
  }

  static void pack_tile(const void* source, uint32_t rows, uint32_t cols, void* tile) noexcept {
    const uint32_t blocks = cols / kBlock;
    if (rows < kTileRows) {
      for (uint32_t block = 0; block < blocks; ++block) {
        uint8_t* out = static_cast<uint8_t*>(tile) + size_t{block} * kBlockBytes;
        memset(out, 0, kScaleBytes);
        memset(out + kScaleBytes, Dot::kFlip, kTileRows * kBlock);
      }
    }
    for (uint32_t row = 0; row < rows; ++row) {
      const uint8_t* stored = static_cast<const uint8_t*>(source) + size_t{row} * blocks * kStoredBytes;
      uint8_t* out = static_cast<uint8_t*>(tile);
      for (uint32_t block = 0; block < blocks; ++block, stored += kStoredBytes, out += kBlockBytes) {
        memcpy(out + row * 2, stored, 2);
        for (uint32_t col = 0; col < kBlock; col += kStep) {
          uint8_t* codes = code_at(out, row, col);
          for (uint32_t i = 0; i < kStep; ++i) codes[i] = stored[2 + col + i] ^ Dot::kFlip;
        }
      }
    }
  }

  static void unpack_row(const void* pack, uint32_t row, uint32_t cols, float* out) noexcept {
    const uint8_t* block = static_cast<const uint8_t*>(pack) + row / kTileRows * tile_bytes(cols);
    for (uint32_t first = 0; first < cols; first += kBlock, block += kBlockBytes) {
      uint16_t half;
      memcpy(&half, block + row % kTileRows * 2, 2);
      const float scale = Simd::widen_one_half(half);
      for (uint32_t col = 0; col < kBlock; ++col) {
        const uint8_t code = *code_at(const_cast<uint8_t*>(block), row % kTileRows, col) ^ Dot::kFlip;
        out[first + col] = scale * static_cast<float>(static_cast<int8_t>(code));
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
    if constexpr (kHasStarts) {
      const int32_t start = -128 * sum;
      memcpy(block + tokens * (kCodeBytes + 4) + token * 4, &start, 4);
    }
  }

  // How add_blocks() finds codes in a block, behind its scales.
  struct Packed {
    static constexpr uint32_t kCodeBytes = 1;
    static auto load(const uint8_t* codes) { return Dot::load(codes); }
  };
  struct Widened {
    static constexpr uint32_t kCodeBytes = 2;
    static auto load(const uint8_t* codes) { return Dot::load_wide(codes); }
  };

  template <typename Form>
  static constexpr uint32_t block_bytes() {
    return kScaleBytes + kTileRows * kBlock * Form::kCodeBytes;
  }

  static void widen_blocks(const uint8_t* packed, uint32_t blocks, uint8_t* widened) noexcept {
    for (uint32_t block = 0; block < blocks; ++block) {
      for (uint32_t byte = 0; byte < kBlockBytes; byte += 64)
        __builtin_prefetch(packed + byte + kPrefetchBytes, 0, kSecondLevel);
      memcpy(widened, packed, kScaleBytes);
      for (uint32_t code = 0; code < kTileRows * kBlock; code += kBlock)
        Dot::widen(packed + kScaleBytes + code, widened + kScaleBytes + 2 * code);
      packed += kBlockBytes;
      widened += block_bytes<Widened>();
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
         ++block, weights += block_bytes<Form>(), group += kTokens * kTokenBytes) {
      const auto* codes = reinterpret_cast<const Code*>(group);
      const auto* scales = reinterpret_cast<const float*>(group + kTokens * kCodeBytes);
      Integers dot[kTokens][2];
      for (uint32_t t = 0; t < kTokens; ++t) {
        if constexpr (kHasStarts) {
          dot[t][0] = dot[t][1] = Dot::start(scales + kTokens + t);
        } else {
          dot[t][0] = dot[t][1] = Dot::zero();
        }
      }
      if constexpr (kAhead) {
        for (uint32_t byte = 0; byte < kBlockBytes; byte += 64)
          __builtin_prefetch(weights + byte + kPrefetchBytes, 0, kSecondLevel);
      }
#pragma GCC unroll 8
      for (uint32_t step = 0; step < kBlock / kStep; ++step) {
        constexpr uint32_t kHalfStep = kLanes * kStep * Form::kCodeBytes;
        const uint8_t* stored = weights + kScaleBytes + step * 2 * kHalfStep;
        const auto low = Form::load(stored);
        const auto high = Form::load(stored + kHalfStep);
        for (uint32_t t = 0; t < kTokens; ++t) {
          const auto x = Dot::broadcast(codes + t * kBlock + step * kStep);
          dot[t][0] = Dot::add(dot[t][0], low, x);
          dot[t][1] = Dot::add(dot[t][1], high, x);
        }
      }
      const auto* halves = reinterpret_cast<const uint16_t*>(weights);
      const Vector low_scales = Simd::widen_half(halves);
      const Vector high_scales = Simd::widen_half(halves + kLanes);
      for (uint32_t t = 0; t < kTokens; ++t) {
        const Vector scale = Simd::broadcast(scales[t]);
        sum[t][0] = Simd::fma(Dot::to_float(dot[t][0]), Simd::multiply(low_scales, scale), sum[t][0]);
        sum[t][1] = Simd::fma(Dot::to_float(dot[t][1]), Simd::multiply(high_scales, scale), sum[t][1]);
      }
    }
    for (uint32_t t = 0; t < kTokens; ++t) {
      for (uint32_t v = 0; v < 2; ++v) Simd::store(sums + (2 * t + v) * kLanes, sum[t][v]);
    }
  }

  template <typename Form, bool kFirst, bool kAhead>
  static void add_group(uint32_t tokens, const uint8_t* weights, const uint8_t* group, uint32_t blocks,
                        float* sums) noexcept {
    static_assert(kGroup <= 6);
    constexpr uint32_t kFive = kGroup < 5 ? 1 : 5;  // sizes that never come aren't compiled
    constexpr uint32_t kSix = kGroup < 6 ? 1 : 6;
    switch (tokens) {
      case 1:
        return add_blocks<Form, 1, kFirst, kAhead>(weights, group, blocks, sums);
      case 2:
        return add_blocks<Form, 2, kFirst, kAhead>(weights, group, blocks, sums);
      case 3:
        return add_blocks<Form, 3, kFirst, kAhead>(weights, group, blocks, sums);
      case 4:
        return add_blocks<Form, 4, kFirst, kAhead>(weights, group, blocks, sums);
      case 5:
        return add_blocks<Form, kFive, kFirst, kAhead>(weights, group, blocks, sums);
      default:
        return add_blocks<Form, kSix, kFirst, kAhead>(weights, group, blocks, sums);
    }
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
      if (Form::kCodeBytes == 1 && token == first) {
        add_group<Form, kFirst, true>(tokens, weights, group, blocks, group_sums);
      } else {
        add_group<Form, kFirst, false>(tokens, weights, group, blocks, group_sums);
      }
    }
  }

  // Tokens [first, end), at most kTokensAtOnce, with one tile.
  static void multiply_tile(const LinearJob* job, uint32_t row, uint32_t first, uint32_t end) noexcept {
    alignas(64) float sums[kTokensAtOnce * kTileRows];
    const uint8_t* tile = static_cast<const uint8_t*>(job->weights) + row / kTileRows * tile_bytes(job->cols);
    const uint32_t blocks = job->cols / kBlock;
    for (uint32_t block = 0; block < blocks; block += kBlocksAtOnce) {
      const uint32_t count = blocks - block < kBlocksAtOnce ? blocks - block : kBlocksAtOnce;
      const uint8_t* weights = tile + size_t{block} * kBlockBytes;
      if constexpr (Dot::kWidens) {
        if (end - first > kGroup) {
          alignas(64) uint8_t widened[kBlocksAtOnce * block_bytes<Widened>()];
          widen_blocks(weights, count, widened);
          block == 0 ? add_tokens<Widened, true>(job, widened, block, count, first, end, sums)
                     : add_tokens<Widened, false>(job, widened, block, count, first, end, sums);
          continue;
        }
      }
      block == 0 ? add_tokens<Packed, true>(job, weights, block, count, first, end, sums)
                 : add_tokens<Packed, false>(job, weights, block, count, first, end, sums);
    }
    for (uint32_t token = first; token < end; ++token) {
      const float* token_sums = sums + (token - first) * kTileRows;
      Simd::store_outputs(job, token, row, Simd::load(token_sums));
      Simd::store_outputs(job, token, row + kLanes, Simd::load(token_sums + kLanes));
    }
  }

  static void multiply(const LinearJob* job) noexcept {
    for (uint32_t first = job->first_token; first < job->end_token; first += kTokensAtOnce) {
      const uint32_t end = job->end_token - first < kTokensAtOnce ? job->end_token : first + kTokensAtOnce;
      for (uint32_t row = job->first_row; row < job->end_row; row += kTileRows) {
        multiply_tile(job, row, first, end);
      }
    }
  }
};

}  // namespace stonechat
