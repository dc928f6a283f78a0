// What attention keeps of the rows (token, head) that go through steps of keys together, whatever multiplies.
//
// Internal to each source that includes it, as these are compiled for different processors.
#pragma once

#include <stdint.h>

#include "kernels/kernel_table.h"

namespace stonechat {
namespace {

// What the rows' softmax has come to, and factors for one step.
template <uint32_t kRows>
struct AttentionSoftmax {
  float largest[kRows];
  float total[kRows];
  float before[kRows];  // factor of what was summed before
  float most[kRows];    // the largest weight
  float sum[kRows];     // of the weights
  float unit[kRows];    // of the codes of weights
  float inverse[kRows];
};

// Keys of the step from first_key on that a row sees, whose `visible` are all that it sees.
template <typename Row>
inline uint32_t keys_seen(const Row& row, uint32_t first_key) noexcept {
  if (row.visible <= first_key) return 0;
  return row.visible - first_key < kKeyStep ? row.visible - first_key : kKeyStep;
}

// The keys of the step from first_key on up to the end of the last tile of which any of the rows before `end`
// sees one, as rows come by position.
template <typename Row>
inline uint32_t keys_there(const Row* rows, uint32_t end, uint32_t first_key) noexcept {
  return (keys_seen(rows[end - 1], first_key) + kKeyTile - 1) / kKeyTile * kKeyTile;
}

// Calls use(row, end of its rows, keys) for rows [begin, end) that see the same number of a step's keys, as
// they go together: all of a token's, or all that see the whole step.
template <typename Row, typename Use>
inline void for_rows_alike(const Row* rows, uint32_t begin, uint32_t end, uint32_t first_key,
                           Use&& use) noexcept {
  for (uint32_t row = begin; row < end;) {
    const uint32_t keys = keys_seen(rows[row], first_key);
    uint32_t next = row + 1;
    while (next < end && keys_seen(rows[next], first_key) == keys) ++next;
    use(row, next, keys);
    row = next;
  }
}

}  // namespace
}  // namespace stonechat
