// Products with integer codes on x86, for any width of vectors and any of the formats in code_formats.h: all
// but the instructions that multiply codes, which are given as `Dot`.
//
// `Dot` gives:
//   Simd, Integers                    vectors of floats (simd_attention.h), of integer sums
//   Code                              an activation's code as stored
//   kStepCols, kGroupTokens
//   kUnsigned                         whether codes of weights are multiplied with 2^(bits - 1) added, so
//                                     that they aren't negative; integer sums then start at minus that times
//                                     the sum of the activations' codes, which makes them exact again
//   kStoresSigned, kMatrixTokens      see CodeDot
//   kWidens                           whether codes of 8 bits are widened once for several groups of tokens,
//                                     as those of 4 bits always are
//   load(8-bit codes), load_low(4-bit codes), load_high(4-bit codes), load_wide(widened), store_wide(weights,
//   out)                              the weights of a step and a vector of rows
//   broadcast(codes), begin(start), add(sum, weights, operand), to_float(sum, start)
//   Matrices                          where kMatrixTokens isn't CodeDot's: set_tokens(tokens) of the groups
//                                     that follow, until release(); multiply<half>(codes of a group's block,
//                                     codes of a tile's block), for half of the tile's rows, and
//                                     store<half>(out): exact sums out[token][row], which Dot's
//                                     load_float(out) reads
//   quantize(32 values, inverse scale, codes): returns the sum of the codes
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/simd_codes_vector.h"

namespace stonechat {

template <typename Dot, typename Format>
class SimdLinearCodes {
 public:
  static constexpr LinearKernels kernels() {
    return {kTileRows,         kGroup,
            Packs::tile_bytes, Packs::pack_tile,
            Packs::unpack_row, Packs::prepared_bytes,
            Packs::prepare,    multiply};
  }

 private:
  using Tiles = SimdCodeTiles<Dot, Format>;
  using Packs = typename Tiles::Packs;
  using Packed = typename Tiles::Packed;
  using Outputs = typename Tiles::Outputs;
  using ActivationSums = typename Tiles::ActivationSums;
  using Simd = typename Dot::Simd;
  using Vector = typename Simd::Vector;
  using Integers = typename Dot::Integers;
  using Code = typename Dot::Code;

  static constexpr bool kHasRowScales = Format::kHasRowScales;
  static constexpr bool kIsFourBits = Format::kCodeBits == 4;
  static constexpr bool kWidens = Dot::kWidens || kIsFourBits;
  static constexpr uint32_t kLanes = Simd::kLanes;
  static constexpr uint32_t kStep = Dot::kStepCols;
  static constexpr uint32_t kGroup = Dot::kGroupTokens;
  static constexpr uint32_t kMatrixTokens = Dot::kMatrixTokens;
  static constexpr bool kHasMatrices = kMatrixTokens <= kGroup;
  static constexpr uint32_t kWidenTokens = kHasMatrices ? kMatrixTokens : kGroup + 1;
  // Take a stream of weights as one token takes several, where it has been measured
  // (docs/performance/zen.md).
  static constexpr uint32_t kFewTokens = kHasMatrices || kWidens || kLanes < 16 ? 0 : 4;
  // Weights are asked for beside each step where the loop over steps is unrolled; with AVX2 that makes it
  // slower.
  static constexpr bool kAsksBesideSteps = kBlock / kStep <= 8;
  static constexpr uint32_t kTileRows = Packs::kTileRows;
  static constexpr uint32_t kTokenBytes = Packs::kTokenBytes;

  static constexpr uint32_t kTokensAtOnce = Tiles::kTokensAtOnce;
  // Of a tile, whose weights stay in the first-level cache; matrices take theirs from the second as fast, and
  // begin and end with sums in memory, and one product alone, the less often.
  static constexpr uint32_t kBlocksAtOnce = kWidens ? 16 : kHasMatrices ? 76 : 32;

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

  static void widen_blocks(const uint8_t* packed, uint32_t blocks, uint8_t* widened) noexcept {
    for (uint32_t block = 0; block < blocks; ++block) {
      Tiles::template prefetch_part<Tiles::kGroupAhead, 1>(packed, 0);
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

  // Weights in no cache yet that are asked for beside the product with each block: those that follow in the
  // same stream, in kParts parts, or some lines of a block elsewhere, then of the next one; so few that the
  // first part takes them all.
  struct AskNext {
    template <uint32_t kTokens, uint32_t kParts>
    [[gnu::always_inline]] void ask(const uint8_t* weights, uint32_t part) noexcept {
      constexpr uint32_t kAhead = kTokens <= kFewTokens ? kStreamAhead<kLanes> : Tiles::kGroupAhead;
      Tiles::template prefetch_part<kAhead, kParts>(weights, part);
    }
  };
  struct AskElsewhere {
    const uint8_t* block;
    uint32_t lines;

    template <uint32_t kTokens, uint32_t kParts>
    [[gnu::always_inline]] void ask(const uint8_t*, uint32_t part) noexcept {
      if (part != 0) return;
      for (uint32_t line = 0; line < lines; ++line)
        __builtin_prefetch(block + size_t{64} * line, 0, kSecondLevel);
      block += Packs::kBlockBytes;
    }
  };

  // Tokens [kFrom, kEnd) of a group.
  template <uint32_t kFrom, uint32_t kEnd>
  struct Range {};

  // Stores a group's sums as outputs, or as sums to go on with where these have no job.
  template <uint32_t kTokens>
  [[gnu::always_inline]] static void put(const Outputs& outputs, Vector (&sum)[kTokens][2],
                                         float* sums) noexcept {
    if (outputs.job == nullptr) {
      Tiles::template store_sums<kTokens>(sum, sums);
    } else {
      Tiles::template store_outputs<kTokens>(outputs, sum);
    }
  }

  // Adds `blocks` blocks of a tile times those of a group of kTokens to the sums, or stores them as outputs
  // if these have a job. kFirst: there is nothing in the sums yet.
  template <typename Form, uint32_t kTokens, bool kFirst, typename Ahead>
  static void add_blocks(const uint8_t* weights, const uint8_t* group, uint32_t blocks, Ahead ahead,
                         const Outputs& outputs, float* sums) noexcept {
    Vector sum[kTokens][2];
    Tiles::template load_sums<kTokens, kFirst>(sums, sum);
    for (uint32_t block = 0; block < blocks;
         ++block, weights += Form::kBytes, group += kTokens * kTokenBytes) {
      const auto* codes = reinterpret_cast<const Code*>(group);
      const auto* scales = reinterpret_cast<const float*>(group + kTokens * Packs::kCodeBytes);
      const float* starts = scales + kTokens;  // their bits are integers
      Integers dot[kTokens][2];
      for (uint32_t t = 0; t < kTokens; ++t) dot[t][0] = dot[t][1] = Dot::begin(starts + t);
      if constexpr (!kAsksBesideSteps) ahead.template ask<kTokens, 1>(weights, 0);
#pragma GCC unroll 8
      for (uint32_t step = 0; step < kBlock / kStep; ++step) {
        const auto low = Form::load(weights + Form::kScaleBytes, step, 0);
        const auto high = Form::load(weights + Form::kScaleBytes, step, 1);
        for (uint32_t t = 0; t < kTokens; ++t) {
          const auto x = Dot::broadcast(codes + t * kBlock + step * kStep);
          dot[t][0] = Dot::add(dot[t][0], low, x);
          dot[t][1] = Dot::add(dot[t][1], high, x);
        }
        if constexpr (kAsksBesideSteps) ahead.template ask<kTokens, kBlock / kStep>(weights, step);
      }
      const auto as_float = [&](uint32_t t, uint32_t v) { return Dot::to_float(dot[t][v], starts + t); };
      Tiles::template add_scaled<kTokens>(Tiles::template block_scales<Form>(weights), scales, as_float, sum);
    }
    put<kTokens>(outputs, sum, sums);
  }

  // add_blocks() where a processor multiplies whole matrices (Dot::Matrices). Their integer sums pass through
  // memory; while those of a block are scaled, those of the next are made, half of the rows at a time. They
  // come between the tokens that are scaled, so that neither waits for the other (docs/performance/intel.md).
  template <typename Form, uint32_t kTokens, bool kFirst, typename Ahead>
  static void add_blocks_by_matrices(const uint8_t* weights, const uint8_t* group, uint32_t blocks,
                                     Ahead ahead, const Outputs& outputs, float* sums) noexcept {
    using Matrices = typename Dot::Matrices;
    constexpr uint32_t kQuarter = kTokens / 4;
    alignas(64) int32_t products[2][2 * kTokens * kLanes];
    Vector before[kTokens][2];
    Tiles::template load_sums<kTokens, kFirst>(sums, before);
    Vector sum[kTokens][2];
    Tiles::copy_sums(before, sum);
    const auto scale = [&]<uint32_t kFrom, uint32_t kEnd>(Range<kFrom, kEnd>, const int32_t* made,
                                                          const auto& rows) __attribute__((always_inline)) {
      const auto as_float = [&](uint32_t t, uint32_t v) __attribute__((always_inline)) {
        return Dot::load_float(made + (2 * t + v) * kLanes);
      };
      const auto* scales = reinterpret_cast<const float*>(group + kTokens * Packs::kCodeBytes);
      Tiles::template add_scaled_part<kFrom, kEnd>(rows, scales, as_float, sum);
    };
    Matrices::template multiply<0>(group, weights + Form::kScaleBytes);
    Matrices::template multiply<1>(group, weights + Form::kScaleBytes);
    Matrices::template store<0>(products[0]);
    Matrices::template store<1>(products[0]);
    for (uint32_t block = 1; block < blocks; ++block) {
      const uint8_t* next_weights = weights + Form::kBytes;
      const uint8_t* next_group = group + kTokens * kTokenBytes;
      const int32_t* made = products[(block - 1) % 2];
      int32_t* next = products[block % 2];
      const auto rows = Tiles::template block_scales<Form>(weights);
      ahead.template ask<kTokens, 4>(weights, 0);
      Matrices::template multiply<0>(next_group, next_weights + Form::kScaleBytes);
      ahead.template ask<kTokens, 4>(weights, 1);
      scale(Range<0, kQuarter>(), made, rows);
      Matrices::template multiply<1>(next_group, next_weights + Form::kScaleBytes);
      ahead.template ask<kTokens, 4>(weights, 2);
      scale(Range<kQuarter, 3 * kQuarter>(), made, rows);
      ahead.template ask<kTokens, 4>(weights, 3);
      Matrices::template store<0>(next);
      scale(Range<3 * kQuarter, kTokens>(), made, rows);
      Matrices::template store<1>(next);
      weights = next_weights;
      group = next_group;
    }
    ahead.template ask<kTokens, 1>(weights, 0);
    scale(Range<0, kTokens>(), products[(blocks - 1) % 2], Tiles::template block_scales<Form>(weights));
    Tiles::copy_sums(sum, before);
    put<kTokens>(outputs, before, sums);
  }

  // add_blocks() of as many tokens as there are, at most kMost.
  template <typename Form, bool kFirst, typename Ahead, uint32_t kMost = kGroup>
  static void add_group(uint32_t tokens, const uint8_t* weights, const uint8_t* group, uint32_t blocks,
                        Ahead ahead, const Outputs& outputs, float* sums) noexcept {
    if constexpr (kMost > 1) {
      if (tokens < kMost) {
        return add_group<Form, kFirst, Ahead, kMost - 1>(tokens, weights, group, blocks, ahead, outputs,
                                                         sums);
      }
    }
    if constexpr (kMost >= kMatrixTokens && (!kIsFourBits || Form::kIsWide)) {
      add_blocks_by_matrices<Form, kMost, kFirst, Ahead>(weights, group, blocks, ahead, outputs, sums);
    } else {
      add_blocks<Form, kMost, kFirst, Ahead>(weights, group, blocks, ahead, outputs, sums);
    }
  }

  // Asks for the lines that these outputs will be stored in.
  static void ask_for(const Outputs& outputs, uint32_t tokens) noexcept {
    const float* out = outputs.first();
    for (uint32_t t = 0; t < tokens; ++t, out += outputs.job->out_stride) {
      __builtin_prefetch(out, 1);
      __builtin_prefetch(out + kLanes, 1);
    }
  }

  // A tile and its blocks [first_block, end_block).
  struct Piece {
    uint32_t row;  // the tile's first
    uint32_t first_block;
    uint32_t end_block;
    const uint8_t* packed;  // the blocks as they lie in the pack
  };

  // Adds a piece times tokens [first, end) to their sums. After a tile's last block these are stored as
  // outputs right away, beside the product with the next group.
  template <typename Form, bool kFirst>
  static void add_tokens(const LinearJob* job, const Piece& piece, const uint8_t* weights, uint32_t first,
                         uint32_t end, float* sums, ActivationSums& x_sums) noexcept {
    const uint32_t all_tokens = end - first;
    const uint32_t blocks = piece.end_block - piece.first_block;
    const bool is_last = piece.end_block == job->cols / kBlock;
    // Each group asks for some lines of the blocks that follow in the pack, the last one for as few as it has
    // tokens: memory has the time of all groups.
    constexpr uint32_t kBlockLines = (Packs::kBlockBytes + 63) / 64;
    const uint32_t lines_at_once = (kBlockLines * kGroup + all_tokens - 1) / all_tokens;
    uint32_t line = 0;
    for (uint32_t token = first; token < end; token += kGroup) {
      const uint32_t tokens = end - token < kGroup ? end - token : kGroup;
      const uint8_t* group = static_cast<const uint8_t*>(job->activations) +
                             Packs::group_offset(token, job->cols) +
                             size_t{piece.first_block} * tokens * kTokenBytes;
      float* group_sums = sums + (token - first) * kTileRows;
      Outputs outputs = {};
      if (is_last) {
        outputs = {job, token, piece.row, x_sums.of(piece.row, token)};
        ask_for(outputs, tokens);
      }
      if constexpr (kHasMatrices) {
        const bool is_other = token == first || tokens != kGroup;
        if (is_other && tokens >= kMatrixTokens) Dot::Matrices::set_tokens(tokens);
      }
      if (!Form::kIsWide && all_tokens <= kGroup) {
        add_group<Form, kFirst>(tokens, weights, group, blocks, AskNext{}, outputs, group_sums);
      } else {
        const uint32_t lines = kBlockLines - line < lines_at_once ? kBlockLines - line : lines_at_once;
        const uint8_t* next = piece.packed + size_t{blocks} * Packs::kBlockBytes + size_t{64} * line;
        add_group<Form, kFirst>(tokens, weights, group, blocks, AskElsewhere{next, lines}, outputs,
                                group_sums);
        line += lines;
      }
    }
  }

  // Tokens [first, end), at most kTokensAtOnce, with one tile.
  static void multiply_tile(const LinearJob* job, uint32_t row, uint32_t first, uint32_t end,
                            ActivationSums& x_sums) noexcept {
    alignas(64) float sums[kTokensAtOnce * kTileRows];
    const uint8_t* tile = Tiles::tile_of(job, row);
    const uint32_t blocks = job->cols / kBlock;
    for (uint32_t block = 0; block < blocks; block += kBlocksAtOnce) {
      const uint32_t count = blocks - block < kBlocksAtOnce ? blocks - block : kBlocksAtOnce;
      const uint8_t* weights = tile + Packs::kHeaderBytes + size_t{block} * Packs::kBlockBytes;
      const Piece piece = {row, block, block + count, weights};
      if constexpr (kWidens) {
        if (end - first >= kWidenTokens) {
          alignas(64) uint8_t widened[kBlocksAtOnce * Widened::kBytes];
          widen_blocks(weights, count, widened);
          block == 0 ? add_tokens<Widened, true>(job, piece, widened, first, end, sums, x_sums)
                     : add_tokens<Widened, false>(job, piece, widened, first, end, sums, x_sums);
          continue;
        }
      }
      block == 0 ? add_tokens<Packed, true>(job, piece, weights, first, end, sums, x_sums)
                 : add_tokens<Packed, false>(job, piece, weights, first, end, sums, x_sums);
    }
  }

  static void multiply(const LinearJob* job) noexcept {
    if (job->end_token == job->first_token + 1) {
      SimdCodesVector<Dot, Format>::multiply(job);
    } else {
      multiply_batch(job);
    }
    Simd::clear_upper_parts();
  }

  static void multiply_batch(const LinearJob* job) noexcept {
    for (uint32_t first = job->first_token; first < job->end_token; first += kTokensAtOnce) {
      const uint32_t end = job->end_token - first < kTokensAtOnce ? job->end_token : first + kTokensAtOnce;
      ActivationSums x_sums(job, first, end);
      for (uint32_t row = job->first_row; row < job->end_row; row += kTileRows)
        multiply_tile(job, row, first, end, x_sums);
    }
    if constexpr (kHasMatrices) Dot::Matrices::release();
  }
};

}  // namespace stonechat
