// How products go through a matrix that lies in memory (docs/performance/zen.md). Those of one token wait for
// it, and several streams of weights are answered faster than one.
//
// Always inlined, as the sources that include it are compiled for different processors.
#pragma once

#include <stdint.h>

#include "kernels/kernel_table.h"

namespace stonechat {

// The locality of __builtin_prefetch() that stops at the second-level cache: a core can wait for more lines
// in it than in the first.
inline constexpr int kSecondLevel = 2;

// How far ahead of its use each stream asks for weights, on x86. AMD's Zen 4 reads at two thirds of its speed
// if four streams ask for more than 1 kB, or two for more than 2. With 8 lanes, whose two streams compute for
// longer, an Intel Xeon is 4 % faster than with 1 kB.
template <uint32_t kLanes>
inline constexpr uint32_t kStreamAhead = kLanes == 16 ? 1024 : 1536;

// Streams whose sums stay in registers, where a vector has so many lanes.
template <uint32_t kLanes>
inline constexpr uint32_t kMostStreams = kLanes == 16 ? 4 : 2;

// Calls body.operator()<n>(tile, apart) so that each tile of [first, end) is one of `tile`, `tile + apart`,
// .., `tile + (n - 1) * apart` in one call: kStreams equal parts side by side, then of what is left half as
// many.
template <uint32_t kStreams, typename Body>
[[gnu::always_inline]] inline void for_tiles_in_streams(uint32_t first, uint32_t end, Body&& body) {
  const uint32_t apart = (end - first) / kStreams;
  for (uint32_t tile = first; tile < first + apart; ++tile) body.template operator()<kStreams>(tile, apart);
  if constexpr (kStreams > 1) for_tiles_in_streams<kStreams / 2>(first + kStreams * apart, end, body);
}

// The same with the tiles of a job.
template <uint32_t kStreams, uint32_t kTileRows, typename Body>
[[gnu::always_inline]] inline void for_job_in_streams(const LinearJob& job, Body&& body) {
  for_tiles_in_streams<kStreams>(job.first_row / kTileRows, (job.end_row + kTileRows - 1) / kTileRows, body);
}

}  // namespace stonechat
