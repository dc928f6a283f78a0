// The packed 6-bit scales and minima of Q4_K and Q5_K blocks.
#pragma once

#include <cstdint>

namespace stonechat {

struct ScaleAndMinimum {
  int scale;
  int minimum;
};

// Of one of the 8 groups of a block. Groups 0..3 have theirs in the low bits of bytes 0..3 and 4..7;
// groups 4..7 have 4 bits each in bytes 8..11 and the upper 2 bits on top of those bytes.
inline ScaleAndMinimum k_scale(const uint8_t* scales, int group) {
  if (group < 4) return {scales[group] & 63, scales[group + 4] & 63};
  const uint8_t low = scales[group + 4];
  return {(low & 15) | ((scales[group - 4] >> 6) << 4), (low >> 4) | ((scales[group] >> 6) << 4)};
}

}  // namespace stonechat
