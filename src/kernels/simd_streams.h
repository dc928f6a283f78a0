// How products of one token go through a matrix: they wait for memory, which answers several streams of
// weights faster than one (docs/performance.md).
#pragma once

#include <stdint.h>

namespace stonechat {

// Streams whose sums stay in registers, with vectors of so many lanes: two vectors a stream, and as many
// integer sums in products with codes.
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

}  // namespace stonechat
