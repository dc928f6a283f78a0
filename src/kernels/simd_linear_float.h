// Products with F32, F16 and BF16 weights, which are widened to FP32 as they are read, or once for several
// groups of tokens, for any width of vectors.
//
// A tile is two vectors of rows (float_packs.h). `Simd` as in simd_attention.h.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/float_packs.h"
#include "kernels/kernel_table.h"
#include "kernels/weight_streams.h"

namespace stonechat {

template <typename Simd>
struct FormatF32 {
  using Stored = float;
  static typename Simd::Vector load(const Stored* weights) { return Simd::load(weights); }
  static float widen(Stored weight) { return weight; }
};

template <typename Simd>
struct FormatF16 {
  using Stored = uint16_t;
  static typename Simd::Vector load(const Stored* weights) { return Simd::widen_half(weights); }
  static float widen(Stored weight) { return Simd::widen_one_half(weight); }
};

template <typename Simd>
struct FormatBf16 {
  using Stored = uint16_t;
  static typename Simd::Vector load(const Stored* weights) { return Simd::widen_bfloat(weights); }
  static float widen(Stored weight) {
    const uint32_t bits = static_cast<uint32_t>(weight) << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
  }
};

template <typename Simd, typename Format>
class SimdLinearFloat {
 public:
  static constexpr LinearKernels kernels() {
    return {kTileRows,
            1,
            Tiles::tile_bytes,
            Tiles::pack_tile,
            Tiles::unpack_row,
            FloatActivations::prepared_bytes,
            FloatActivations::prepare,
            multiply};
  }

 private:
  using Stored = typename Format::Stored;
  using Vector = typename Simd::Vector;
  static constexpr uint32_t kLanes = Simd::kLanes;
  static constexpr uint32_t kTileRows = 2 * kLanes;
  using Tiles = FloatTiles<Format, kTileRows>;
  static constexpr uint32_t kMostTokens = Simd::kFloatTokens;  // that share a tile's registers
  static constexpr uint32_t kTokensAtOnce =
      8 * kMostTokens;                          // whose activations stay in the second-level cache
  static constexpr uint32_t kColsAtOnce = 256;  // whose weights stay in the first-level cache
  // So many groups of tokens gain by weights that are widened once; with AVX2, where loads bind, none do
  // (docs/performance/zen.md).
  static constexpr bool kWidens = sizeof(Stored) < sizeof(float) && kLanes == 16;
  static constexpr uint32_t kWidenGroups = 5;
  static constexpr uint32_t kColumnBytes = kTileRows * sizeof(Stored);
  // So many tokens ask for weights as little ahead as one does, where it has been measured
  // (docs/performance/zen.md).
  static constexpr uint32_t kFewTokens = kColumnBytes > 64 ? 5 : 0;

  // Weights in no cache yet that are asked for beside the product with each column: so many bytes of them, a
  // column's at most.
  struct Ahead {
    const char* from;
    size_t step;
  };
  static void prefetch_column(const char* column) noexcept {
    for (uint32_t line = 0; line < kColumnBytes; line += 64)
      __builtin_prefetch(column + line, 0, kSecondLevel);
  }

  // Adds `count` columns of a tile, in the format Form, times kTokens tokens to sums[token * kTileRows +
  // row]; x[token * cols + col].
  template <typename Form, uint32_t kTokens>
  static void add_cols(const typename Form::Stored* weights, const float* x, uint32_t cols, uint32_t count,
                       Ahead ahead, float* sums) noexcept {
    Vector sum[kTokens][2];
#pragma GCC unroll 16
    for (uint32_t t = 0; t < kTokens; ++t) {
      sum[t][0] = Simd::load(sums + t * kTileRows);
      sum[t][1] = Simd::load(sums + t * kTileRows + kLanes);
    }
    // One address for three tokens, as the others are reached by an index of one or two rows. Hidden, as the
    // compiler would keep one each, and has too few registers.
    constexpr uint32_t kReached = 3;
    constexpr uint32_t kBases = (kTokens + kReached - 1) / kReached;
    const size_t row = cols;
    const float* base[kBases];
#pragma GCC unroll 4
    for (uint32_t i = 0; i < kBases; ++i) base[i] = x + kReached * i * row;
    for (uint32_t col = 0; col < count; ++col, weights += kTileRows, ahead.from += ahead.step) {
      prefetch_column(ahead.from);
      const Vector low_weights = Form::load(weights);
      const Vector high_weights = Form::load(weights + kLanes);
#pragma GCC unroll 16
      for (uint32_t t = 0; t < kTokens; ++t) {
        const float* const from = base[t / kReached];
        const Vector value = Simd::broadcast(from[t % kReached * row]);
        sum[t][0] = Simd::fma(low_weights, value, sum[t][0]);
        sum[t][1] = Simd::fma(high_weights, value, sum[t][1]);
      }
#pragma GCC unroll 4
      for (uint32_t i = 0; i < kBases; ++i) {
        ++base[i];
        asm("" : "+r"(base[i]));
      }
    }
#pragma GCC unroll 16
    for (uint32_t t = 0; t < kTokens; ++t) {
      Simd::store(sums + t * kTileRows, sum[t][0]);
      Simd::store(sums + t * kTileRows + kLanes, sum[t][1]);
    }
  }

  // Of as many tokens as there are, at most kMost.
  template <typename Form, uint32_t kMost = kMostTokens>
  static void add_group(uint32_t tokens, const typename Form::Stored* weights, const float* x, uint32_t cols,
                        uint32_t count, Ahead ahead, float* sums) noexcept {
    if constexpr (kMost > 1) {
      if (tokens < kMost) return add_group<Form, kMost - 1>(tokens, weights, x, cols, count, ahead, sums);
    }
    add_cols<Form, kMost>(weights, x, cols, count, ahead, sums);
  }

  static void widen(const Stored* weights, uint32_t cols, float* out) noexcept {
    for (size_t i = 0; i < size_t{cols} * kTileRows; i += kLanes)
      Simd::store(out + i, Format::load(weights + i));
  }

  // A job of one token, with kStreams tiles that are `apart` tiles from each other. Memory is all that binds,
  // so lines are asked for ahead of need.
  template <uint32_t kStreams>
  static void multiply_one_token(const LinearJob* job, uint32_t tile, uint32_t apart) noexcept {
    const float* x = static_cast<const float*>(job->activations) + size_t{job->first_token} * job->cols;
    const Stored* column = Tiles::tile_of(job->weights, tile * kTileRows, job->cols);
    const size_t weights_apart = apart * Tiles::tile_bytes(job->cols) / sizeof(Stored);
    Vector sum[kStreams][2];
#pragma GCC unroll 4
    for (uint32_t i = 0; i < kStreams; ++i) sum[i][0] = sum[i][1] = Simd::broadcast(0);
    for (uint32_t col = 0; col < job->cols; ++col, column += kTileRows) {
      const Vector value = Simd::broadcast(x[col]);
#pragma GCC unroll 4
      for (uint32_t i = 0; i < kStreams; ++i) {
        const Stored* weights = column + i * weights_apart;
        prefetch_column(reinterpret_cast<const char*>(weights) + kStreamAhead<kLanes>);
        sum[i][0] = Simd::fma(Format::load(weights), value, sum[i][0]);
        sum[i][1] = Simd::fma(Format::load(weights + kLanes), value, sum[i][1]);
      }
    }
    for (uint32_t i = 0; i < kStreams; ++i) {
      const uint32_t row = (tile + i * apart) * kTileRows;
      Simd::store_outputs(job, job->first_token, row, sum[i][0]);
      Simd::store_outputs(job, job->first_token, row + kLanes, sum[i][1]);
    }
  }

  // Tokens [first, end), at most kTokensAtOnce, with one tile of rows.
  static void multiply_tile(const LinearJob* job, uint32_t row, uint32_t first, uint32_t end) noexcept {
    alignas(64) float sums[kTokensAtOnce * kTileRows];
    memset(sums, 0, size_t{end - first} * kTileRows * sizeof(float));
    const Stored* tile = Tiles::tile_of(job->weights, row, job->cols);
    const uint32_t groups = (end - first + kMostTokens - 1) / kMostTokens;
    for (uint32_t col = 0; col < job->cols; col += kColsAtOnce) {
      const uint32_t count = job->cols - col < kColsAtOnce ? job->cols - col : kColsAtOnce;
      const Stored* weights = tile + size_t{col} * kTileRows;
      // Each group asks for its share of the columns that follow in the pack: memory has the time of all.
      const size_t step = kColumnBytes / groups;
      const size_t distance = end - first <= kFewTokens ? kStreamAhead<kLanes> : size_t{count} * kColumnBytes;
      Ahead ahead = {reinterpret_cast<const char*>(weights) + distance, step};
      const auto add_all = [&]<typename Form>(Form, const typename Form::Stored* form) {
        for (uint32_t t = 0; t < end - first; t += kMostTokens, ahead.from += step * count) {
          const float* x = static_cast<const float*>(job->activations) + size_t{first + t} * job->cols + col;
          add_group<Form>(end - first - t, form, x, job->cols, count, ahead, sums + t * kTileRows);
        }
      };
      if constexpr (kWidens) {
        if (groups >= kWidenGroups) {
          alignas(64) float widened[kColsAtOnce * kTileRows];
          widen(weights, count, widened);
          add_all(FormatF32<Simd>(), widened);
          continue;
        }
      }
      add_all(Format(), weights);
    }
    for (uint32_t t = 0; t < end - first; ++t) {
      Simd::store_outputs(job, first + t, row, Simd::load(sums + t * kTileRows));
      Simd::store_outputs(job, first + t, row + kLanes, Simd::load(sums + t * kTileRows + kLanes));
    }
  }

  static void multiply(const LinearJob* job) noexcept {
    if (job->end_token - job->first_token == 1) {
      for_job_in_streams<kMostStreams<kLanes>, kTileRows>(
          *job, [&]<uint32_t kStreams>(uint32_t tile, uint32_t apart) {
            multiply_one_token<kStreams>(job, tile, apart);
          });
      return;
    }
    for (uint32_t first = job->first_token; first < job->end_token; first += kTokensAtOnce) {
      const uint32_t end = job->end_token - first < kTokensAtOnce ? job->end_token : first + kTokensAtOnce;
      for (uint32_t row = job->first_row; row < job->end_row; row += kTileRows)
        multiply_tile(job, row, first, end);
    }
  }
};

}  // namespace stonechat
