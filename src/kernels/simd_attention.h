// Attention by tiles of 32 keys with a running maximum, for any width of vectors.
//
// `Simd` (avx2_parts.h, avx512_parts.h) gives the vectors and the sizes of register tiles. Its types belong
// to one instruction set, so every instance of these templates does too.
//
// The rows (token, head) of a job go through in groups. For each tile of keys the group's keys and values are
// widened to FP32 once, then used by all rows.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/kernel_table.h"

namespace stonechat {

template <typename Simd>
class SimdAttention {
 public:
  static size_t scratch_bytes(uint32_t head_dim) noexcept {
    return (2 * size_t{kKeyTile} * head_dim + kGroupRows * kKeyTile + kGroupRows * size_t{head_dim}) *
           sizeof(float);
  }

  static void attend(const AttentionJob* job) noexcept {
    Row rows[kGroupRows];
    uint32_t count = 0;
    for (uint32_t token = job->first_token; token < job->end_token; ++token) {
      for (uint32_t head = 0; head < job->group_heads; ++head) {
        rows[count++] = {job->queries + token * job->query_stride + head * job->head_dim,
                         job->out + token * job->out_stride + head * job->head_dim,
                         job->first_position + token + 1, -INFINITY, 0};
        if (count == kGroupRows) {
          attend_group(job, rows, count);
          count = 0;
        }
      }
    }
    if (count > 0) attend_group(job, rows, count);
  }

 private:
  using Vector = typename Simd::Vector;
  static constexpr uint32_t kLanes = Simd::kLanes;
  // Rows that share widened keys and values: a multiple of what is computed together, and of the heads that
  // share a key in Qwen2.5-0.5B.
  static constexpr uint32_t kGroupRows = 42;
  static constexpr uint32_t kKeyVectors = kKeyTile / kLanes;
  static constexpr uint32_t kScoreRows = Simd::kScoreRows;  // rows whose scores are computed together
  static constexpr uint32_t kValueRows = Simd::kValueRows;  // rows whose values are summed together
  static constexpr uint32_t kValueVectors = 4;              // vectors of a row's values summed together

  // One row of the group: a query and what its softmax has come to.
  struct Row {
    const float* query;
    float* out;
    uint32_t visible;  // keys that it sees
    float largest;
    float total;
  };

  // The parts of a job's scratch, in floats.
  struct Scratch {
    float* keys;    // (head_dim, 32)
    float* values;  // (32, head_dim)
    float* scores;  // (rows, 32)
    float* sums;    // (rows, head_dim)
  };

  static Scratch scratch_of(const AttentionJob* job) noexcept {
    const size_t tile = size_t{kKeyTile} * job->head_dim;
    float* scores = job->scratch + 2 * tile;
    return {job->scratch, job->scratch + tile, scores, scores + kGroupRows * kKeyTile};
  }

  static void widen(const uint16_t* halves, uint32_t count, float* out) noexcept {
    for (uint32_t i = 0; i < count; i += kLanes) Simd::store(out + i, Simd::widen_half(halves + i));
  }

  // Scores of kRows rows with all 32 keys of the tile, not masked yet.
  template <uint32_t kRows>
  static void score_rows(const Row* rows, const float* keys, uint32_t head_dim, float scale,
                         float* scores) noexcept {
    Vector sum[kRows][kKeyVectors];
    for (uint32_t r = 0; r < kRows; ++r) {
      for (uint32_t v = 0; v < kKeyVectors; ++v) sum[r][v] = Simd::broadcast(0);
    }
    for (uint32_t d = 0; d < head_dim; ++d) {
      for (uint32_t r = 0; r < kRows; ++r) {
        const Vector query = Simd::broadcast(rows[r].query[d]);
        for (uint32_t v = 0; v < kKeyVectors; ++v) {
          sum[r][v] = Simd::fma(query, Simd::load(keys + d * kKeyTile + v * kLanes), sum[r][v]);
        }
      }
    }
    for (uint32_t r = 0; r < kRows; ++r) {
      for (uint32_t v = 0; v < kKeyVectors; ++v) {
        Simd::store(scores + r * kKeyTile + v * kLanes, Simd::multiply(sum[r][v], Simd::broadcast(scale)));
      }
    }
  }

  // Masks the scores of one tile that the row doesn't see; returns the largest of the others.
  static float mask(uint32_t keys, float* scores) noexcept {
    Vector largest = Simd::broadcast(-INFINITY);
    for (uint32_t v = 0; v < kKeyVectors; ++v) {
      const Vector score = Simd::load_first(scores + v * kLanes, lanes_seen(keys, v), -INFINITY);
      if (keys < kKeyTile) Simd::store(scores + v * kLanes, score);
      largest = Simd::larger(largest, score);
    }
    return Simd::largest(largest);
  }

  // The first kRows of `count` rows, or all where they are fewer.
  template <uint32_t kRows>
  static void score_up_to(uint32_t count, const Row* rows, const float* keys, uint32_t head_dim, float scale,
                          float* scores) noexcept {
    if constexpr (kRows > 1) {
      if (count < kRows) return score_up_to<kRows - 1>(count, rows, keys, head_dim, scale, scores);
    }
    score_rows<kRows>(rows, keys, head_dim, scale, scores);
  }

  // Turns the scores of rows [begin, end) into weights; factors[row] is for what was summed before.
  static void soften(Row* rows, uint32_t begin, uint32_t end, uint32_t first_key, float* scores,
                     float* factors) noexcept {
    for (uint32_t row = begin; row < end; ++row) {
      const float tile_largest = mask(keys_seen(rows[row], first_key), scores + row * kKeyTile);
      const float largest = tile_largest > rows[row].largest ? tile_largest : rows[row].largest;
      factors[row] = rows[row].largest - largest;
      rows[row].largest = largest;
    }
    for (uint32_t row = begin / kLanes * kLanes; row < end; row += kLanes)
      Simd::store(factors + row, Simd::exp_shared(Simd::load(factors + row)));
    for (uint32_t row = begin; row < end; ++row) {
      const Vector largest = Simd::broadcast(rows[row].largest);
      Vector weight[kKeyVectors];
      for (uint32_t v = 0; v < kKeyVectors; ++v) {
        float* score = scores + row * kKeyTile + v * kLanes;
        // exp() of -infinity is 0, so keys that aren't visible weigh nothing.
        weight[v] = Simd::exp_shared(Simd::subtract(Simd::load(score), largest));
        Simd::store(score, weight[v]);
      }
      for (uint32_t half = kKeyVectors / 2; half > 0; half /= 2) {
        for (uint32_t v = 0; v < half; ++v) weight[v] = Simd::add(weight[v], weight[v + half]);
      }
      rows[row].total = fmaf(rows[row].total, factors[row], Simd::tree_sum(weight[0]));
    }
  }

  static uint32_t lanes_seen(uint32_t keys, uint32_t vector) noexcept {
    const uint32_t before = vector * kLanes;
    if (keys <= before) return 0;
    return keys - before < kLanes ? keys - before : kLanes;
  }

  // sums[d] = sums[d] * factor, then += weight[j] * value[j][d] for each key, for kRows rows and kVectors
  // vectors of d.
  template <uint32_t kRows, uint32_t kVectors>
  static void add_values(const float* values, uint32_t head_dim, uint32_t keys, const float* weights,
                         const float* factors, float* sums) noexcept {
    Vector sum[kRows][kVectors];
    for (uint32_t r = 0; r < kRows; ++r) {
      for (uint32_t v = 0; v < kVectors; ++v) {
        const Vector before = Simd::load(sums + size_t{r} * head_dim + v * kLanes);
        sum[r][v] = Simd::multiply(before, Simd::broadcast(factors[r]));
      }
    }
    for (uint32_t j = 0; j < keys; ++j) {
      Vector value[kVectors];
      for (uint32_t v = 0; v < kVectors; ++v) {
        value[v] = Simd::load(values + size_t{j} * head_dim + v * kLanes);
        if (kRows > 1) Simd::keep(value[v]);
      }
      for (uint32_t r = 0; r < kRows; ++r) {
        const Vector weight = Simd::broadcast(weights[r * kKeyTile + j]);
        for (uint32_t v = 0; v < kVectors; ++v) sum[r][v] = Simd::fma(weight, value[v], sum[r][v]);
      }
    }
    for (uint32_t r = 0; r < kRows; ++r) {
      for (uint32_t v = 0; v < kVectors; ++v)
        Simd::store(sums + size_t{r} * head_dim + v * kLanes, sum[r][v]);
    }
  }

  template <uint32_t kRows>
  static void add_all_values(const Scratch& scratch, uint32_t row, uint32_t head_dim, uint32_t keys,
                             const float* factors) noexcept {
    const float* weights = scratch.scores + row * kKeyTile;
    float* sums = scratch.sums + size_t{row} * head_dim;
    uint32_t d = 0;
    for (; d + kValueVectors * kLanes <= head_dim; d += kValueVectors * kLanes) {
      add_values<kRows, kValueVectors>(scratch.values + d, head_dim, keys, weights, factors, sums + d);
    }
    for (; d < head_dim; d += kLanes) {
      add_values<kRows, 1>(scratch.values + d, head_dim, keys, weights, factors, sums + d);
    }
  }

  template <uint32_t kRows>
  static void add_values_up_to(uint32_t count, const Scratch& scratch, uint32_t row, uint32_t head_dim,
                               uint32_t keys, const float* factors) noexcept {
    if constexpr (kRows > 1) {
      if (count < kRows) return add_values_up_to<kRows - 1>(count, scratch, row, head_dim, keys, factors);
    }
    add_all_values<kRows>(scratch, row, head_dim, keys, factors);
  }

  static uint32_t keys_seen(const Row& row, uint32_t first_key) noexcept {
    if (row.visible <= first_key) return 0;
    return row.visible - first_key < kKeyTile ? row.visible - first_key : kKeyTile;
  }

  // One tile of keys for rows [begin, end) of the group, which all see some of it.
  static void attend_tile(const AttentionJob* job, const Scratch& scratch, Row* rows, uint32_t begin,
                          uint32_t end, uint32_t first_key) noexcept {
    for (uint32_t row = begin; row < end; row += kScoreRows) {
      score_up_to<kScoreRows>(end - row, rows + row, scratch.keys, job->head_dim, job->scale,
                              scratch.scores + row * kKeyTile);
    }
    float factors[(kGroupRows + kLanes - 1) / kLanes * kLanes] = {};
    soften(rows, begin, end, first_key, scratch.scores, factors);
    for (uint32_t row = begin; row < end;) {
      const uint32_t keys = keys_seen(rows[row], first_key);
      uint32_t next = row + 1;
      while (next < end && next - row < kValueRows && keys_seen(rows[next], first_key) == keys) ++next;
      add_values_up_to<kValueRows>(next - row, scratch, row, job->head_dim, keys, factors + row);
      row = next;
    }
  }

  static void attend_group(const AttentionJob* job, Row* rows, uint32_t count) noexcept {
    const Scratch scratch = scratch_of(job);
    memset(scratch.sums, 0, size_t{count} * job->head_dim * sizeof(float));
    const uint32_t most_keys = rows[count - 1].visible;
    uint32_t begin = 0;  // rows before it don't see this tile any more
    for (uint32_t first_key = 0; first_key < most_keys; first_key += kKeyTile) {
      while (rows[begin].visible <= first_key) ++begin;
      widen(job->keys + size_t{first_key} * job->head_dim, kKeyTile * job->head_dim, scratch.keys);
      widen(job->values + size_t{first_key} * job->head_dim, kKeyTile * job->head_dim, scratch.values);
      attend_tile(job, scratch, rows, begin, count, first_key);
    }
    for (uint32_t row = 0; row < count; ++row) {
      const Vector total = Simd::broadcast(rows[row].total);
      for (uint32_t d = 0; d < job->head_dim; d += kLanes) {
        const Vector sum = Simd::load(scratch.sums + size_t{row} * job->head_dim + d);
        Simd::store(rows[row].out + d, Simd::divide(sum, total));
      }
    }
  }
};

}  // namespace stonechat
