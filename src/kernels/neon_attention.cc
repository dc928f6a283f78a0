// Attention by tiles of 32 keys with a running maximum.
//
// The rows (token, head) of a job go through in groups. For each tile of keys the group's keys and values are
// widened to FP32 once, then used by all rows.
#include <math.h>

#include "kernels/neon_product.h"

namespace stonechat::neon {
namespace {

constexpr uint32_t kGroupRows = 64;  // rows that share widened keys and values
constexpr uint32_t kTileVectors = kKeyTile / kLanes;

// One row of the group: what its softmax has come to.
struct Row {
  float* out;
  uint32_t visible;  // keys that it sees
  float largest;
  float total;
};

// The parts of a job's scratch, in floats.
struct Scratch {
  float* keys;     // (head_dim, 32)
  float* values;   // (32, head_dim)
  float* queries;  // (rows, head_dim)
  float* sums;     // (rows, head_dim)
  float* scores;   // (rows, 32)
};

size_t scratch_bytes(uint32_t head_dim) noexcept {
  return ((2 * size_t{kKeyTile} + 2 * kGroupRows) * head_dim + kGroupRows * kKeyTile) * sizeof(float);
}

Scratch scratch_of(const AttentionJob* job) noexcept {
  const size_t tile = size_t{kKeyTile} * job->head_dim;
  const size_t rows = size_t{kGroupRows} * job->head_dim;
  float* const queries = job->scratch + 2 * tile;
  return {job->scratch, job->scratch + tile, queries, queries + rows, queries + 2 * rows};
}

// Turns a row's products with the keys of one tile into weights; returns the factor for what was summed
// before.
float soften(Row& row, float scale, uint32_t keys, float* scores) noexcept {
  float32x4_t score[kTileVectors];
#pragma GCC unroll 8
  for (uint32_t v = 0; v < kTileVectors; ++v) score[v] = vmulq_n_f32(vld1q_f32(scores + v * kLanes), scale);
  if (keys < kKeyTile) {
    constexpr uint32_t kIndices[kLanes] = {0, 1, 2, 3};
    const uint32x4_t first = vld1q_u32(kIndices);
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kTileVectors; ++v) {
      const uint32x4_t is_visible = vcltq_u32(vaddq_u32(first, vdupq_n_u32(v * kLanes)), vdupq_n_u32(keys));
      score[v] = vbslq_f32(is_visible, score[v], vdupq_n_f32(-INFINITY));
    }
  }
  float32x4_t most = score[0];
#pragma GCC unroll 8
  for (uint32_t v = 1; v < kTileVectors; ++v) most = vmaxq_f32(most, score[v]);
  const float tile_largest = vmaxvq_f32(most);
  const float largest = tile_largest > row.largest ? tile_largest : row.largest;
  float32x4_t factor[1] = {vdupq_n_f32(row.largest - largest)};
  exp_shared(factor);
  float32x4_t sums[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
#pragma GCC unroll 2
  for (uint32_t half = 0; half < kTileVectors; half += 4) {
    float32x4_t weights[4];
#pragma GCC unroll 4
    for (uint32_t v = 0; v < 4; ++v) weights[v] = vsubq_f32(score[half + v], vdupq_n_f32(largest));
    exp_shared(weights);
#pragma GCC unroll 4
    for (uint32_t v = 0; v < 4; ++v) {
      vst1q_f32(scores + (half + v) * kLanes, weights[v]);
      sums[v] = half == 0 ? weights[v] : vaddq_f32(sums[v], weights[v]);
    }
  }
  const float sum = tree_sum(sums[0], sums[1], sums[2], sums[3]);
  row.total = fmaf(row.total, vgetq_lane_f32(factor[0], 0), sum);
  row.largest = largest;
  return vgetq_lane_f32(factor[0], 0);
}

uint32_t keys_seen(const Row& row, uint32_t first_key) noexcept {
  if (row.visible <= first_key) return 0;
  return row.visible - first_key < kKeyTile ? row.visible - first_key : kKeyTile;
}

// One tile of keys for rows [begin, end) of the group, which all see some of it.
void attend_tile(const AttentionJob* job, const Scratch& scratch, Row* rows, uint32_t begin, uint32_t end,
                 uint32_t first_key) noexcept {
  const uint32_t head_dim = job->head_dim;
  float* scores = scratch.scores + size_t{begin} * kKeyTile;
  memset(scores, 0, size_t{end - begin} * kKeyTile * sizeof(float));
  for (uint32_t key = 0; key < keys_seen(rows[end - 1], first_key); key += kProductRows) {
    add_products(end - begin, scratch.keys + key, kKeyTile, scratch.queries + size_t{begin} * head_dim,
                 head_dim, head_dim, scores + key, kKeyTile);
  }
  for (uint32_t row = begin; row < end; ++row) {
    const float factor = soften(rows[row], job->scale, keys_seen(rows[row], first_key),
                                scratch.scores + size_t{row} * kKeyTile);
    if (factor == 1.0F) continue;
    float* sums = scratch.sums + size_t{row} * head_dim;
    for (uint32_t d = 0; d < head_dim; d += kLanes) {
      vst1q_f32(sums + d, vmulq_n_f32(vld1q_f32(sums + d), factor));
    }
  }
  for (uint32_t row = begin; row < end;) {
    // Rows that see the same number of keys go together: all of a token's, or all that see the whole tile.
    const uint32_t keys = keys_seen(rows[row], first_key);
    uint32_t end_row = row + 1;
    while (end_row < end && keys_seen(rows[end_row], first_key) == keys) ++end_row;
    for (uint32_t d = 0; d < head_dim; d += kProductRows) {
      add_products(end_row - row, scratch.values + d, head_dim, scratch.scores + size_t{row} * kKeyTile,
                   kKeyTile, keys, scratch.sums + size_t{row} * head_dim + d, head_dim);
    }
    row = end_row;
  }
}

void attend_group(const AttentionJob* job, const Scratch& scratch, Row* rows, uint32_t count) noexcept {
  const uint32_t head_dim = job->head_dim;
  memset(scratch.sums, 0, size_t{count} * head_dim * sizeof(float));
  const uint32_t most_keys = rows[count - 1].visible;
  uint32_t begin = 0;  // rows before it don't see this tile any more
  for (uint32_t first_key = 0; first_key < most_keys; first_key += kKeyTile) {
    while (rows[begin].visible <= first_key) ++begin;
    widen_halves(job->keys + size_t{first_key} * head_dim, kKeyTile * head_dim, scratch.keys);
    widen_halves(job->values + size_t{first_key} * head_dim, kKeyTile * head_dim, scratch.values);
    attend_tile(job, scratch, rows, begin, count, first_key);
  }
  for (uint32_t row = 0; row < count; ++row) {
    const float32x4_t total = vdupq_n_f32(rows[row].total);
    const float* sums = scratch.sums + size_t{row} * head_dim;
    for (uint32_t d = 0; d < head_dim; d += kLanes) {
      vst1q_f32(rows[row].out + d, vdivq_f32(vld1q_f32(sums + d), total));
    }
  }
}

void attend(const AttentionJob* job) noexcept {
  const Scratch scratch = scratch_of(job);
  Row rows[kGroupRows];
  uint32_t count = 0;
  for (uint32_t token = job->first_token; token < job->end_token; ++token) {
    for (uint32_t head = 0; head < job->group_heads; ++head) {
      const size_t offset = size_t{head} * job->head_dim;
      memcpy(scratch.queries + size_t{count} * job->head_dim,
             job->queries + token * job->query_stride + offset, job->head_dim * sizeof(float));
      rows[count++] = {job->out + token * job->out_stride + offset, job->first_position + token + 1,
                       -INFINITY, 0};
      if (count == kGroupRows) {
        attend_group(job, scratch, rows, count);
        count = 0;
      }
    }
  }
  if (count > 0) attend_group(job, scratch, rows, count);
}

}  // namespace

constinit const AttentionKernels kAttention = {scratch_bytes, attend};

}  // namespace stonechat::neon
