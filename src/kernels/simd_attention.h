// Attention by tiles of 32 keys with a running maximum, for any width of vectors.
//
// `Simd` (avx2_parts.h, avx512_parts.h) gives the vectors and the sizes of register tiles, `Dots` the integer
// products (simd_attention_codes.h). Their types belong to one instruction set, so every instance of these
// templates does too.
//
// The rows (token, head) of a job go through in groups, which share each tile of keys and values: binary16 is
// widened to FP32 once for all of them.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/kernel_table.h"
#include "kernels/simd_attention_codes.h"
#include "kernels/simd_attention_float.h"

namespace stonechat {

template <typename Dots>
class SimdAttention {
 public:
  static constexpr AttentionKernels kernels() { return {scratch_bytes, attend}; }

 private:
  using Simd = typename Dots::Simd;
  using Floats = SimdAttentionFloat<Simd>;
  using Codes = SimdAttentionCodes<Dots>;
  using Vector = typename Simd::Vector;
  static constexpr uint32_t kLanes = Simd::kLanes;
  // Rows that share a tile's keys and values: a multiple of what is computed together, and of the heads that
  // share a key in Qwen2.5-0.5B.
  static constexpr uint32_t kGroupRows = 42;
  static constexpr uint32_t kPaddedRows = (kGroupRows + kLanes - 1) / kLanes * kLanes;
  static constexpr uint32_t kKeyVectors = kKeyTile / kLanes;

  // One row of the group: a query and what its softmax has come to.
  struct Row {
    const float* query;
    float* out;
    uint32_t visible;  // keys that it sees
    float largest;
    float total;
    float shift;        // of the scores of these keys
    float factor;       // of products with the query's codes
    int32_t query_sum;  // of its codes
  };

  // The parts of a job's scratch.
  struct Scratch {
    float* keys;       // (head_dim, 32)
    float* values;     // (32, head_dim)
    float* scores;     // (rows, 32), later softmax's weights
    float* sums;       // (rows, head_dim)
    uint8_t* queries;  // (rows, query_bytes)
    uint8_t* weights;  // (rows, kWeightBytes)
  };

  // Of the rows, for one tile.
  struct Factors {
    float before[kPaddedRows] = {};  // for what was summed before
    float most[kPaddedRows] = {};    // the largest weight
    float unit[kPaddedRows] = {};    // of the codes of weights
  };

  static size_t scratch_bytes(uint32_t head_dim) noexcept {
    const size_t floats = 2 * size_t{kKeyTile} * head_dim + kGroupRows * (kKeyTile + size_t{head_dim});
    return floats * sizeof(float) + kGroupRows * (Codes::query_bytes(head_dim) + Codes::kWeightBytes);
  }

  static Scratch scratch_of(const AttentionJob* job) noexcept {
    const size_t tile = size_t{kKeyTile} * job->head_dim;
    float* const scores = job->scratch + 2 * tile;
    float* const sums = scores + kGroupRows * kKeyTile;
    auto* const queries = reinterpret_cast<uint8_t*>(sums + size_t{kGroupRows} * job->head_dim);
    uint8_t* const weights = queries + kGroupRows * Codes::query_bytes(job->head_dim);
    return {job->scratch, job->scratch + tile, scores, sums, queries, weights};
  }

  static uint32_t lanes_seen(uint32_t keys, uint32_t vector) noexcept {
    const uint32_t before = vector * kLanes;
    if (keys <= before) return 0;
    return keys - before < kLanes ? keys - before : kLanes;
  }

  static uint32_t keys_seen(const Row& row, uint32_t first_key) noexcept {
    if (row.visible <= first_key) return 0;
    return row.visible - first_key < kKeyTile ? row.visible - first_key : kKeyTile;
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

  // Turns the scores of rows [begin, end) into weights.
  static void soften(Row* rows, uint32_t begin, uint32_t end, uint32_t first_key, float* scores,
                     Factors& factors) noexcept {
    for (uint32_t row = begin; row < end; ++row) {
      const float tile_largest = mask(keys_seen(rows[row], first_key), scores + row * kKeyTile);
      const float largest = tile_largest > rows[row].largest ? tile_largest : rows[row].largest;
      factors.before[row] = rows[row].largest - largest;
      factors.most[row] = tile_largest - largest;
      rows[row].largest = largest;
    }
    for (uint32_t row = begin / kLanes * kLanes; row < end; row += kLanes) {
      Simd::store(factors.before + row, Simd::exp_shared(Simd::load(factors.before + row)));
      Simd::store(factors.most + row, Simd::exp_shared(Simd::load(factors.most + row)));
    }
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
      rows[row].total = fmaf(rows[row].total, factors.before[row], Simd::tree_sum(weight[0]));
    }
  }

  static void score_tile(const AttentionJob* job, const Scratch& scratch, const Row* rows, uint32_t begin,
                         uint32_t end, uint32_t first_key) noexcept {
    const size_t first = size_t{first_key} * job->head_dim;
    float* scores = scratch.scores + begin * kKeyTile;
    if (job->keys.format == kCacheQ8) {
      Codes::score(rows + begin, end - begin, static_cast<const int8_t*>(job->keys.data) + first,
                   job->keys.scales + first_key, job->head_dim,
                   scratch.queries + begin * Codes::query_bytes(job->head_dim), scores);
      return;
    }
    if (Floats::takes_halves(job->keys, end - begin)) {
      Floats::score(rows + begin, end - begin, Floats::halves(job->keys, first), job->head_dim, job->scale,
                    scores);
      return;
    }
    const auto keys = Floats::floats(job->keys, first, kKeyTile * job->head_dim, scratch.keys);
    Floats::score(rows + begin, end - begin, keys, job->head_dim, job->scale, scores);
  }

  static void add_float_values(const AttentionJob* job, const Scratch& scratch, const Row* rows,
                               uint32_t begin, uint32_t end, uint32_t first_key,
                               const Factors& factors) noexcept {
    const size_t first = size_t{first_key} * job->head_dim;
    const auto add = [&](auto values) {
      for (uint32_t row = begin; row < end;) {
        // Rows that see the same number of keys go together: all of a token's, or all that see the whole
        // tile.
        const uint32_t keys = keys_seen(rows[row], first_key);
        uint32_t next = row + 1;
        while (next < end && keys_seen(rows[next], first_key) == keys) ++next;
        Floats::add_values(next - row, values, job->head_dim, keys, scratch.scores + row * kKeyTile,
                           factors.before + row, scratch.sums + size_t{row} * job->head_dim);
        row = next;
      }
    };
    if (Floats::takes_halves(job->values, end - begin)) {
      add(Floats::halves(job->values, first));
    } else {
      add(Floats::floats(job->values, first, kKeyTile * job->head_dim, scratch.values));
    }
  }

  static void add_code_values(const AttentionJob* job, const Scratch& scratch, const Row* rows,
                              uint32_t begin, uint32_t end, uint32_t first_key, Factors& factors) noexcept {
    const float* scales = job->values.scales + first_key;
    float largest_scale[kKeyTile];  // of the keys up to this one
    largest_scale[0] = scales[0];
    for (uint32_t j = 1; j < kKeyTile; ++j)
      largest_scale[j] = scales[j] > largest_scale[j - 1] ? scales[j] : largest_scale[j - 1];
    for (uint32_t row = begin; row < end; ++row) {
      const float bound = factors.most[row] * largest_scale[keys_seen(rows[row], first_key) - 1];
      const bool is_zero = bound <= 1e-30F;
      factors.unit[row] = is_zero ? 0.0F : bound / kFineCodes;
      Codes::put_weights(scratch.scores + row * kKeyTile, scales, is_zero ? 0.0F : kFineCodes / bound,
                         scratch.weights + row * Codes::kWeightBytes);
    }
    Codes::add_values(end - begin,
                      static_cast<const int8_t*>(job->values.data) + size_t{first_key} * job->head_dim,
                      job->head_dim, scratch.weights + begin * Codes::kWeightBytes, factors.unit + begin,
                      factors.before + begin, scratch.sums + size_t{begin} * job->head_dim);
  }

  static float shift_of(const AttentionJob* job, const float* query, uint32_t first_key) noexcept {
    constexpr uint32_t kSums = 16;
    constexpr uint32_t kVectors = kSums / kLanes;
    const float* shift = job->shifts + size_t{first_key} / kKeyShift * job->head_dim;
    Vector sum[kVectors];
    for (uint32_t v = 0; v < kVectors; ++v) sum[v] = Simd::broadcast(0);
    for (uint32_t d = 0; d < job->head_dim; d += kSums) {
      for (uint32_t v = 0; v < kVectors; ++v) {
        const uint32_t i = d + v * kLanes;
        sum[v] = Simd::fma(Simd::load(query + i), Simd::load(shift + i), sum[v]);
      }
    }
    if constexpr (kVectors == 2) sum[0] = Simd::add(sum[0], sum[1]);
    return Simd::tree_sum(sum[0]) * job->scale;
  }

  static void attend_group(const AttentionJob* job, Row* rows, uint32_t count) noexcept {
    const Scratch scratch = scratch_of(job);
    memset(scratch.sums, 0, size_t{count} * job->head_dim * sizeof(float));
    if (job->keys.format == kCacheQ8) {
      for (uint32_t row = 0; row < count; ++row) {
        rows[row].factor =
            Codes::put_query(rows[row].query, job->head_dim, job->scale,
                             scratch.queries + row * Codes::query_bytes(job->head_dim), &rows[row].query_sum);
      }
    }
    const uint32_t most_keys = rows[count - 1].visible;
    uint32_t begin = 0;  // rows before it don't see this tile any more
    for (uint32_t first_key = 0; first_key < most_keys; first_key += kKeyTile) {
      while (rows[begin].visible <= first_key) ++begin;
      if (job->shifts != nullptr && first_key != 0 && first_key % kKeyShift == 0) {
        for (uint32_t row = begin; row < count; ++row)
          rows[row].shift = shift_of(job, rows[row].query, first_key);
      }
      Factors factors;
      score_tile(job, scratch, rows, begin, count, first_key);
      soften(rows, begin, count, first_key, scratch.scores, factors);
      if (job->values.format == kCacheQ8) {
        add_code_values(job, scratch, rows, begin, count, first_key, factors);
      } else {
        add_float_values(job, scratch, rows, begin, count, first_key, factors);
      }
    }
    for (uint32_t row = 0; row < count; ++row) {
      const Vector total = Simd::broadcast(rows[row].total);
      for (uint32_t d = 0; d < job->head_dim; d += kLanes) {
        const Vector sum = Simd::load(scratch.sums + size_t{row} * job->head_dim + d);
        Simd::store(rows[row].out + d, Simd::divide(sum, total));
      }
    }
  }

  static void attend(const AttentionJob* job) noexcept {
    Row rows[kGroupRows];
    uint32_t count = 0;
    for (uint32_t token = job->first_token; token < job->end_token; ++token) {
      for (uint32_t head = 0; head < job->group_heads; ++head) {
        rows[count++] = {job->queries + token * job->query_stride + head * job->head_dim,
                         job->out + token * job->out_stride + head * job->head_dim,
                         job->first_position + token + 1,
                         -INFINITY,
                         0,
                         0,
                         0,
                         0};
        if (count == kGroupRows) {
          attend_group(job, rows, count);
          count = 0;
        }
      }
    }
    if (count > 0) attend_group(job, rows, count);
  }
};

}  // namespace stonechat
