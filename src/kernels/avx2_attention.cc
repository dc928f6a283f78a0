// Attention by tiles of 32 keys with a running maximum.
//
// The rows (token, head) of a job go through in groups. For each tile of keys the group's keys and values are
// widened to FP32 once, then used by all rows.
#include <math.h>
#include <string.h>

#include "kernels/avx2_parts.h"

namespace stonechat::avx2 {
namespace {

constexpr uint32_t kGroupRows = 32;    // rows that share widened keys and values
constexpr uint32_t kKeyVectors = 4;    // vectors of a tile's 32 keys
constexpr uint32_t kScoreRows = 2;     // rows whose scores are computed together: 8 sums of 8 keys
constexpr uint32_t kValueVectors = 4;  // vectors of values, 32 dimensions, summed together
constexpr uint32_t kValueRows = 2;     // rows that share them

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

size_t scratch_bytes(uint32_t head_dim) noexcept {
  return (2 * size_t{kKeyTile} * head_dim + kGroupRows * kKeyTile + kGroupRows * size_t{head_dim}) *
         sizeof(float);
}

Scratch scratch_of(const AttentionJob* job) noexcept {
  const size_t tile = size_t{kKeyTile} * job->head_dim;
  return {job->scratch, job->scratch + tile, job->scratch + 2 * tile,
          job->scratch + 2 * tile + kGroupRows * kKeyTile};
}

void widen(const uint16_t* halves, uint32_t count, float* out) noexcept {
  for (uint32_t i = 0; i < count; i += kLanes) {
    _mm256_store_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(halves + i))));
  }
}

// Scores of kRows rows with all 32 keys of the tile, not masked yet.
template <uint32_t kRows>
void score_rows(const Row* rows, const float* keys, uint32_t head_dim, float scale, float* scores) noexcept {
  __m256 sum[kRows][kKeyVectors];
  for (uint32_t r = 0; r < kRows; ++r) {
    for (uint32_t v = 0; v < kKeyVectors; ++v) sum[r][v] = _mm256_setzero_ps();
  }
  for (uint32_t d = 0; d < head_dim; ++d) {
    for (uint32_t r = 0; r < kRows; ++r) {
      const __m256 query = _mm256_set1_ps(rows[r].query[d]);
      for (uint32_t v = 0; v < kKeyVectors; ++v) {
        sum[r][v] = _mm256_fmadd_ps(query, _mm256_load_ps(keys + d * kKeyTile + v * kLanes), sum[r][v]);
      }
    }
  }
  for (uint32_t r = 0; r < kRows; ++r) {
    for (uint32_t v = 0; v < kKeyVectors; ++v) {
      _mm256_store_ps(scores + r * kKeyTile + v * kLanes, _mm256_mul_ps(sum[r][v], _mm256_set1_ps(scale)));
    }
  }
}

// Turns a row's scores of one tile into weights; returns the factor for what was summed before.
float soften(Row& row, uint32_t keys, float* scores) noexcept {
  __m256 visible[kKeyVectors];
  __m256 score[kKeyVectors];
  __m256 largest_parts = _mm256_set1_ps(-INFINITY);
  for (uint32_t v = 0; v < kKeyVectors; ++v) {
    const uint32_t before = v * kLanes;
    visible[v] = _mm256_castsi256_ps(first_lanes(keys <= before ? 0 : keys - before));
    score[v] = _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), _mm256_load_ps(scores + before), visible[v]);
    largest_parts = _mm256_max_ps(largest_parts, score[v]);
  }
  const float tile_largest = largest_of(largest_parts);
  const float largest = tile_largest > row.largest ? tile_largest : row.largest;
  const float factor = _mm256_cvtss_f32(exp_shared(_mm256_set1_ps(row.largest - largest)));
  __m256 weight[kKeyVectors];
  for (uint32_t v = 0; v < kKeyVectors; ++v) {
    weight[v] = _mm256_and_ps(visible[v], exp_shared(_mm256_sub_ps(score[v], _mm256_set1_ps(largest))));
    _mm256_store_ps(scores + v * kLanes, weight[v]);
  }
  const __m256 low = _mm256_add_ps(weight[0], weight[2]);
  const __m256 high = _mm256_add_ps(weight[1], weight[3]);
  row.total = fmaf(row.total, factor, tree_sum(_mm256_add_ps(low, high)));
  row.largest = largest;
  return factor;
}

// sums[d] = sums[d] * factor, then += weight[j] * value[j][d] for each key, for kRows rows and kVectors
// vectors of d.
template <uint32_t kRows, uint32_t kVectors>
void add_values(const float* values, uint32_t head_dim, uint32_t keys, const float* weights,
                const float* factors, float* sums) noexcept {
  __m256 sum[kRows][kVectors];
  for (uint32_t r = 0; r < kRows; ++r) {
    for (uint32_t v = 0; v < kVectors; ++v) {
      const __m256 before = _mm256_load_ps(sums + size_t{r} * head_dim + v * kLanes);
      sum[r][v] = _mm256_mul_ps(before, _mm256_set1_ps(factors[r]));
    }
  }
  for (uint32_t j = 0; j < keys; ++j) {
    for (uint32_t r = 0; r < kRows; ++r) {
      const __m256 weight = _mm256_set1_ps(weights[r * kKeyTile + j]);
      for (uint32_t v = 0; v < kVectors; ++v) {
        const __m256 value = _mm256_load_ps(values + size_t{j} * head_dim + v * kLanes);
        sum[r][v] = _mm256_fmadd_ps(weight, value, sum[r][v]);
      }
    }
  }
  for (uint32_t r = 0; r < kRows; ++r) {
    for (uint32_t v = 0; v < kVectors; ++v) {
      _mm256_store_ps(sums + size_t{r} * head_dim + v * kLanes, sum[r][v]);
    }
  }
}

template <uint32_t kRows>
void add_values_of(const Scratch& scratch, uint32_t row, uint32_t head_dim, uint32_t keys,
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

uint32_t keys_seen(const Row& row, uint32_t first_key) noexcept {
  if (row.visible <= first_key) return 0;
  return row.visible - first_key < kKeyTile ? row.visible - first_key : kKeyTile;
}

// One tile of keys for rows [begin, end) of the group, which all see some of it.
void attend_tile(const AttentionJob* job, const Scratch& scratch, Row* rows, uint32_t begin, uint32_t end,
                 uint32_t first_key) noexcept {
  uint32_t row = begin;
  for (; row + kScoreRows <= end; row += kScoreRows) {
    score_rows<kScoreRows>(rows + row, scratch.keys, job->head_dim, job->scale,
                           scratch.scores + row * kKeyTile);
  }
  for (; row < end; ++row) {
    score_rows<1>(rows + row, scratch.keys, job->head_dim, job->scale, scratch.scores + row * kKeyTile);
  }
  float factors[kGroupRows];
  for (row = begin; row < end; ++row) {
    factors[row] = soften(rows[row], keys_seen(rows[row], first_key), scratch.scores + row * kKeyTile);
  }
  for (row = begin; row < end;) {
    // Rows come with ever more keys: if the first of three sees the whole tile, all do.
    if (row + kValueRows <= end && keys_seen(rows[row], first_key) == kKeyTile) {
      add_values_of<kValueRows>(scratch, row, job->head_dim, kKeyTile, factors + row);
      row += kValueRows;
    } else {
      add_values_of<1>(scratch, row, job->head_dim, keys_seen(rows[row], first_key), factors + row);
      ++row;
    }
  }
}

void attend_group(const AttentionJob* job, Row* rows, uint32_t count) noexcept {
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
    const __m256 total = _mm256_set1_ps(rows[row].total);
    for (uint32_t d = 0; d < job->head_dim; d += kLanes) {
      const __m256 sum = _mm256_load_ps(scratch.sums + size_t{row} * job->head_dim + d);
      _mm256_storeu_ps(rows[row].out + d, _mm256_div_ps(sum, total));
    }
  }
}

void attend(const AttentionJob* job) noexcept {
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

}  // namespace

constinit const AttentionKernels kAttention = {scratch_bytes, attend};

}  // namespace stonechat::avx2
