// The product of one token's activations with a matrix of codes: see simd_linear_codes.h.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/simd_code_tiles.h"

namespace stonechat {

template <typename Dot, typename Format>
class SimdCodesVector {
 public:
  // A job of one token.
  static void multiply(const LinearJob* job) noexcept {
    ActivationSums x_sums(job, job->first_token, job->end_token);
    for_job_in_streams<kMostStreams<Packs::kLanes>, kTileRows>(
        *job, [&]<uint32_t kStreams>(uint32_t tile, uint32_t apart) {
          multiply_tiles<kStreams>(job, tile, apart, x_sums);
        });
  }

 private:
  using Tiles = SimdCodeTiles<Dot, Format>;
  using Packs = typename Tiles::Packs;
  using Packed = typename Tiles::Packed;
  using ActivationSums = typename Tiles::ActivationSums;

  static constexpr uint32_t kTileRows = Packs::kTileRows;
  static constexpr uint32_t kStep = Packs::kStep;

  // kStreams tiles, `apart` tiles from each other.
  template <uint32_t kStreams>
  static void multiply_tiles(const LinearJob* job, uint32_t tile, uint32_t apart,
                             ActivationSums& x_sums) noexcept {
    const uint8_t* group =
        static_cast<const uint8_t*>(job->activations) + Packs::group_offset(job->first_token, job->cols);
    const uint8_t* weights[kStreams];
    typename Tiles::Vector sum[kStreams][1][2];
#pragma GCC unroll 4
    for (uint32_t i = 0; i < kStreams; ++i) {
      weights[i] = Tiles::tile_of(job, (tile + i * apart) * kTileRows) + Packs::kHeaderBytes;
      Tiles::template load_sums<1, true>(nullptr, sum[i]);
    }
    for (uint32_t block = 0; block < job->cols / kBlock; ++block, group += Packs::kTokenBytes) {
      const auto* codes = reinterpret_cast<const typename Dot::Code*>(group);
      const auto* scale = reinterpret_cast<const float*>(group + Packs::kCodeBytes);
      const float* start = scale + 1;
      typename Dot::Integers dot[kStreams][2];
#pragma GCC unroll 4
      for (uint32_t i = 0; i < kStreams; ++i) {
        // Hidden: else the compiler keeps an address for each line of each stream, most of them in memory.
        asm("" : "+r"(weights[i]));
        dot[i][0] = dot[i][1] = Dot::begin(start);
      }
      // As a whole, so that the compiler knows which lines a step asks for.
#pragma GCC unroll 16
      for (uint32_t step = 0; step < kBlock / kStep; ++step) {
        const auto x = Dot::broadcast(codes + step * kStep);
#pragma GCC unroll 4
        for (uint32_t i = 0; i < kStreams; ++i) {
          const uint8_t* weight_codes = weights[i] + Packed::kScaleBytes;
          dot[i][0] = Dot::add(dot[i][0], Packed::load(weight_codes, step, 0), x);
          dot[i][1] = Dot::add(dot[i][1], Packed::load(weight_codes, step, 1), x);
          Tiles::template prefetch_part<kStreamAhead<Packs::kLanes>, kBlock / kStep>(weights[i], step);
        }
      }
#pragma GCC unroll 4
      for (uint32_t i = 0; i < kStreams; ++i) {
        const auto as_float = [&](uint32_t, uint32_t v) { return Dot::to_float(dot[i][v], start); };
        Tiles::template add_scaled<1>(Tiles::template block_scales<Packed>(weights[i]), scale, as_float,
                                      sum[i]);
        weights[i] += Packs::kBlockBytes;
      }
    }
#pragma GCC unroll 4
    for (uint32_t i = 0; i < kStreams; ++i) {
      const uint32_t row = (tile + i * apart) * kTileRows;
      Tiles::template store_outputs<1>({job, job->first_token, row, x_sums.of(row, job->first_token)},
                                       sum[i]);
    }
  }
};

}  // namespace stonechat
