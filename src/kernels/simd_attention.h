// Attention in steps of 64 keys with a running maximum, for any width of vectors.
//
// `Simd` (avx2_parts.h, avx512_parts.h) gives the vectors and the sizes of register tiles, `Dots` the integer
// products with codes of 8 bits, `Dots::Words` those of 16 (simd_attention_codes.h). Their types belong to
// one instruction set, so every instance of these templates does too.
//
// The rows (token, head) of a job go through in groups, which share each step's keys and values: binary16 is
// widened to FP32 once for all of them.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/attention_rows.h"
#include "kernels/kernel_table.h"
#include "kernels/simd_attention_ahead.h"
#include "kernels/simd_attention_codes.h"
#include "kernels/simd_attention_float.h"
#include "kernels/simd_attention_matrices.h"
#include "kernels/simd_reduce.h"

namespace stonechat {

template <typename Dots>
class SimdAttention {
 public:
  static constexpr AttentionKernels kernels() { return {scratch_bytes, attend}; }

 private:
  using Simd = typename Dots::Simd;
  using Floats = SimdAttentionFloat<Simd>;
  using Codes = SimdAttentionCodes<Dots>;
  using Words = SimdAttentionCodes<typename Dots::Words>;
  using Vector = typename Simd::Vector;
  static constexpr uint32_t kLanes = Simd::kLanes;
  static constexpr bool kHasMatrices = Dots::kMatrixRows != UINT32_MAX;
  static constexpr uint32_t kGroupRows = Dots::kGroupRows;
  // What the rows of a group have room for, as matrices are multiplied with whole numbers of them.
  static constexpr uint32_t kRoomRows = [] {
    if constexpr (kHasMatrices) return kGroupRows + Dots::Matrices::kRows - 1;
    return kGroupRows;
  }();
  static constexpr uint32_t kPaddedRows = (kRoomRows + kLanes - 1) / kLanes * kLanes;
  static constexpr uint32_t kKeyVectors = kKeyStep / kLanes;

  // One row of the group.
  struct Row {
    const float* query;
    float* out;
    uint32_t visible;   // keys that it sees
    float shift;        // of the scores of these keys
    float factor;       // of products with the query's codes
    int32_t query_sum;  // of its codes
  };

  // The parts of a job's scratch.
  struct Scratch {
    // A tile's keys (head_dim, 32), then the step's values (64, head_dim), as floats or as digits.
    float* widened;
    float* scores;     // (rows, 64), later softmax's weights
    float* sums;       // (rows, head_dim)
    uint8_t* queries;  // (rows, query_bytes)
    uint8_t* weights;  // (rows, kWeightBytes)

    uint8_t* digits() const noexcept { return reinterpret_cast<uint8_t*>(widened); }
  };

  using Softmax = AttentionSoftmax<kPaddedRows>;

  static size_t scratch_bytes(uint32_t head_dim) noexcept {
    const size_t floats = size_t{kKeyStep} * head_dim + kRoomRows * (kKeyStep + size_t{head_dim});
    return floats * sizeof(float) + kRoomRows * (Codes::query_bytes(head_dim) + Codes::kWeightBytes);
  }

  static Scratch scratch_of(const AttentionJob* job) noexcept {
    float* const scores = job->scratch + size_t{kKeyStep} * job->head_dim;
    float* const sums = scores + kRoomRows * kKeyStep;
    auto* const queries = reinterpret_cast<uint8_t*>(sums + size_t{kRoomRows} * job->head_dim);
    uint8_t* const weights = queries + kRoomRows * Codes::query_bytes(job->head_dim);
    return {job->scratch, scores, sums, queries, weights};
  }

  // Whether so many rows are multiplied by matrices.
  static constexpr bool takes_matrices(const AttentionJob* job, uint32_t rows) noexcept {
    if constexpr (kHasMatrices)
      return rows >= Dots::kMatrixRows && job->head_dim % Dots::Matrices::kDepth == 0;
    return false;
  }

  // Of scores, as powers of two.
  static float scale_of(const AttentionJob* job) noexcept { return job->scale * kLog2E; }

  // exp2() as AttentionKernels states it; 0 for -infinity.
  static Vector exp2_shared(Vector x) noexcept {
    const Vector rounded = Simd::add(x, Simd::broadcast(kRounder));
    const Vector r = Simd::subtract(x, Simd::subtract(rounded, Simd::broadcast(kRounder)));
    Vector p = Simd::broadcast(kExp2Coefficients[0]);
    for (int i = 1; i < 6; ++i) p = Simd::fma(p, r, Simd::broadcast(kExp2Coefficients[i]));
    return Simd::times_power(p, rounded, x, -125.0F);
  }

  static uint32_t lanes_seen(uint32_t keys, uint32_t vector) noexcept {
    const uint32_t before = vector * kLanes;
    if (keys <= before) return 0;
    return keys - before < kLanes ? keys - before : kLanes;
  }

  // Masks the scores of one step that the row doesn't see; returns the largest of the others, lane by lane.
  static Vector mask(uint32_t keys, float* scores) noexcept {
    Vector largest = Simd::broadcast(-INFINITY);
    if (keys == kKeyStep) {
      for (uint32_t v = 0; v < kKeyVectors; ++v)
        largest = Simd::larger(largest, Simd::load(scores + v * kLanes));
      return largest;
    }
    for (uint32_t v = 0; v < kKeyVectors; ++v) {
      const Vector score = Simd::load_first(scores + v * kLanes, lanes_seen(keys, v), -INFINITY);
      Simd::store(scores + v * kLanes, score);
      largest = Simd::larger(largest, score);
    }
    return largest;
  }

  // Turns a row's scores into weights. Returns their sum, lane by lane.
  static Vector weigh(float largest, float* scores) noexcept {
    Vector weight[kKeyVectors];
    for (uint32_t v = 0; v < kKeyVectors; ++v) {
      // exp2() of -infinity is 0, so keys that aren't visible weigh nothing.
      weight[v] = exp2_shared(Simd::subtract(Simd::load(scores + v * kLanes), Simd::broadcast(largest)));
      Simd::store(scores + v * kLanes, weight[v]);
    }
    for (uint32_t half = kKeyVectors / 2; half > 0; half /= 2) {
      for (uint32_t v = 0; v < half; ++v) weight[v] = Simd::add(weight[v], weight[v + half]);
    }
    return weight[0];
  }

  // Lane i of the result is `op` of halves of rows[i], until one value is left, as in tree(). With each step
  // half as many vectors hold the halves of twice as many rows.
  template <typename Op>
  static Vector reduce_each(const Vector (&rows)[kLanes], Op&& op) noexcept {
    Vector fours[4];
    Simd::reduce_to_fours(rows, op, fours);
    const auto halve = [&](Vector a, Vector b) {
      return op(Simd::template pick<0x44>(a, b), Simd::template pick<0xee>(a, b));
    };
    const Vector low = halve(fours[0], fours[1]);
    const Vector high = halve(fours[2], fours[3]);
    return op(Simd::template pick<0x88>(low, high), Simd::template pick<0xdd>(low, high));
  }

  // Turns the scores of rows [begin, end) into weights, as many rows at once as a vector has lanes. The
  // others among these see nothing, which leaves them as they are.
  static void soften(const Row* rows, uint32_t begin, uint32_t end, uint32_t first_key, float* scores,
                     Softmax& softmax) noexcept {
    for (uint32_t first = begin / kLanes * kLanes; first < end; first += kLanes) {
      const auto is_there = [&](uint32_t i) { return first + i >= begin && first + i < end; };
      Vector each[kLanes];
      for (uint32_t i = 0; i < kLanes; ++i) {
        each[i] = is_there(i) ? mask(keys_seen(rows[first + i], first_key), scores + (first + i) * kKeyStep)
                              : Simd::broadcast(-INFINITY);
      }
      const Vector step_largest = reduce_each(each, Simd::larger);
      const Vector largest_before = Simd::load(softmax.largest + first);
      const Vector largest = Simd::larger(step_largest, largest_before);
      const Vector before = exp2_shared(Simd::subtract(largest_before, largest));
      Simd::store(softmax.largest + first, largest);
      Simd::store(softmax.before + first, before);
      Simd::store(softmax.most + first, exp2_shared(Simd::subtract(step_largest, largest)));
      for (uint32_t i = 0; i < kLanes; ++i) {
        each[i] = is_there(i) ? weigh(softmax.largest[first + i], scores + (first + i) * kKeyStep)
                              : Simd::broadcast(0);
      }
      const Vector sum = reduce_each(each, Simd::add);
      Simd::store(softmax.sum + first, sum);
      Simd::store(softmax.total + first, Simd::fma(Simd::load(softmax.total + first), before, sum));
    }
  }

  // Scores of codes: of the step's first `keys`, from first_key on.
  template <typename C>
  static void score_codes(const AttentionJob* job, const Scratch& scratch, const Row* rows, uint32_t begin,
                          uint32_t end, uint32_t first_key, uint32_t keys) noexcept {
    const auto* codes =
        static_cast<const typename C::Code*>(job->keys.data) + size_t{first_key} * job->head_dim;
    const float* scales = job->keys.scales + first_key;
    const uint8_t* queries = scratch.queries + begin * C::query_bytes(job->head_dim);
    float* const scores = scratch.scores + begin * kKeyStep;
    if constexpr (kHasMatrices) {
      if (takes_matrices(job, end)) {
        SimdAttentionMatrices<C>::score(rows + begin, end - begin, codes, keys, scales, job->head_dim,
                                        queries, scratch.digits(), scores);
        return;
      }
    }
    for (uint32_t key = 0; key < keys; key += kKeyTile) {
      C::score(rows + begin, end - begin, codes + size_t{key} * job->head_dim, scales + key, job->head_dim,
               queries, scores + key);
    }
  }

  // Of the tile from first_key on; `scores` are those of row `begin`.
  static void score_floats(const AttentionJob* job, const Scratch& scratch, const Row* rows, uint32_t begin,
                           uint32_t end, uint32_t first_key, float* scores) noexcept {
    if (Floats::takes_halves(job->keys, end - begin)) {
      Floats::score(rows + begin, end - begin, Floats::halves(job->keys, first_key, job->head_dim),
                    job->head_dim, scale_of(job), scores);
      return;
    }
    const auto keys = Floats::floats(job->keys, first_key, kKeyTile, job->head_dim, scratch.widened);
    Floats::score(rows + begin, end - begin, keys, job->head_dim, scale_of(job), scores);
  }

  // Of the step from first_key on, up to the last tile that any row sees.
  static void score_step(const AttentionJob* job, const Scratch& scratch, const Row* rows, uint32_t begin,
                         uint32_t end, uint32_t first_key) noexcept {
    const uint32_t keys = keys_there(rows, end, first_key);
    if (job->keys.format == kCacheQ8)
      return score_codes<Codes>(job, scratch, rows, begin, end, first_key, keys);
    if (job->keys.format == kCacheQ16)
      return score_codes<Words>(job, scratch, rows, begin, end, first_key, keys);
    for (uint32_t key = 0; key < keys; key += kKeyTile) {
      score_floats(job, scratch, rows, begin, end, first_key + key, scratch.scores + begin * kKeyStep + key);
    }
  }

  static void add_float_values(const AttentionJob* job, const Scratch& scratch, const Row* rows,
                               uint32_t begin, uint32_t end, uint32_t first_key,
                               const Softmax& softmax) noexcept {
    const auto add = [&](auto values) {
      for_rows_alike(rows, begin, end, first_key, [&](uint32_t row, uint32_t next, uint32_t keys) {
        Floats::add_values(next - row, values, job->head_dim, keys, scratch.scores + row * kKeyStep,
                           softmax.before + row, scratch.sums + size_t{row} * job->head_dim);
      });
    };
    if (Floats::takes_halves(job->values, end - begin)) {
      add(Floats::halves(job->values, first_key, job->head_dim));
    } else {
      add(Floats::floats(job->values, first_key, keys_there(rows, end, first_key), job->head_dim,
                         scratch.widened));
    }
  }

  // largest[row] becomes the largest of the scales of a step's keys that the row sees; so may rows that see
  // nothing.
  static void put_largest_scales(const Row* rows, uint32_t begin, uint32_t end, uint32_t first_key,
                                 const float* scales, float* largest) noexcept {
    // Rows come by position: most steps are seen as a whole by all.
    if (keys_seen(rows[begin], first_key) == kKeyStep) {
      const Vector all = Simd::broadcast(largest_magnitude<Simd>(scales, kKeyStep));
      for (uint32_t row = begin / kLanes * kLanes; row < end; row += kLanes) Simd::store(largest + row, all);
      return;
    }
    float so_far = scales[0];
    uint32_t keys = 1;
    for (uint32_t row = begin; row < end; ++row) {
      for (const uint32_t seen = keys_seen(rows[row], first_key); keys < seen; ++keys)
        so_far = scales[keys] > so_far ? scales[keys] : so_far;
      largest[row] = so_far;
    }
  }

  template <typename C>
  static void add_code_values(const AttentionJob* job, const Scratch& scratch, const Row* rows,
                              uint32_t begin, uint32_t end, uint32_t first_key, Softmax& softmax) noexcept {
    const float* scales = job->values.scales + first_key;
    put_largest_scales(rows, begin, end, first_key, scales, softmax.unit);
    for (uint32_t row = begin / kLanes * kLanes; row < end; row += kLanes) {
      Vector most = Simd::load(softmax.most + row);
      if (C::kHasWords)
        most = Simd::larger(most, Simd::multiply(Simd::load(softmax.sum + row), Simd::broadcast(0.5F)));
      const Vector bound =
          Simd::larger(Simd::multiply(most, Simd::load(softmax.unit + row)), Simd::broadcast(kLeastWeight));
      const Vector codes = Simd::broadcast(C::kWeightCodes);
      Simd::store(softmax.unit + row, Simd::divide(bound, codes));
      Simd::store(softmax.inverse + row, Simd::divide(codes, bound));
    }
    uint8_t* const weights = scratch.weights + begin * C::kWeightBytes;
    for (uint32_t row = begin; row < end; ++row) {
      C::put_weights(scratch.scores + row * kKeyStep, scales, softmax.inverse[row],
                     scratch.weights + row * C::kWeightBytes);
    }
    const auto* values =
        static_cast<const typename C::Code*>(job->values.data) + size_t{first_key} * job->head_dim;
    float* const sums = scratch.sums + size_t{begin} * job->head_dim;
    if constexpr (kHasMatrices) {
      if (takes_matrices(job, end)) {
        SimdAttentionMatrices<C>::split_rows(end - begin, kKeyStep, weights);
        SimdAttentionMatrices<C>::add_values(end - begin, values, job->head_dim, weights,
                                             softmax.unit + begin, softmax.before + begin, scratch.digits(),
                                             sums);
        return;
      }
    }
    C::add_values(end - begin, keys_there(rows, end, first_key), values, job->head_dim, weights,
                  softmax.unit + begin, softmax.before + begin, sums);
  }

  static float shift_of(const AttentionJob* job, const float* query, uint32_t first_key) noexcept {
    const float* shift = job->shifts + size_t{first_key} / kKeyShift * job->head_dim;
    const float sum = tree_of_16_sums<Simd>(job->head_dim, [&](uint32_t d, Vector before) {
      return Simd::fma(Simd::load(query + d), Simd::load(shift + d), before);
    });
    return sum * scale_of(job);
  }

  static void attend_group(const AttentionJob* job, Row* rows, uint32_t count) noexcept {
    const Scratch scratch = scratch_of(job);
    const uint32_t room = count + (kRoomRows - kGroupRows);
    memset(scratch.sums, 0, size_t{room} * job->head_dim * sizeof(float));
    const auto put_queries = [&]<typename C>(C) {
      for (uint32_t row = 0; row < count; ++row) {
        rows[row].factor =
            C::put_query(rows[row].query, job->head_dim, scale_of(job),
                         scratch.queries + row * C::query_bytes(job->head_dim), &rows[row].query_sum);
      }
      if constexpr (kHasMatrices) {
        if (takes_matrices(job, count))
          SimdAttentionMatrices<C>::split_rows(count, job->head_dim, scratch.queries);
      }
    };
    if (job->keys.format == kCacheQ8) put_queries(Codes());
    if (job->keys.format == kCacheQ16) put_queries(Words());
    Softmax softmax;
    for (uint32_t row = 0; row < kPaddedRows; ++row) {
      softmax.largest[row] = row < count ? -INFINITY : 0;
      softmax.total[row] = 0;
      softmax.before[row] = 0;
      softmax.unit[row] = 0;
    }
    const uint32_t most_keys = rows[count - 1].visible;
    uint32_t begin = 0;  // rows before it don't see this step any more
    for (uint32_t first_key = 0; first_key < most_keys; first_key += kKeyStep) {
      while (rows[begin].visible <= first_key) ++begin;
      if (job->shifts != nullptr && first_key != 0 && first_key % kKeyShift == 0) {
        for (uint32_t row = begin; row < count; ++row)
          rows[row].shift = shift_of(job, rows[row].query, first_key);
      }
      ask_for_next_pages(job->keys, first_key, job->head_dim);
      ask_for_next_pages(job->values, first_key, job->head_dim);
      score_step(job, scratch, rows, begin, count, first_key);
      soften(rows, begin, count, first_key, scratch.scores, softmax);
      if (job->values.format == kCacheQ8) {
        add_code_values<Codes>(job, scratch, rows, begin, count, first_key, softmax);
      } else if (job->values.format == kCacheQ16) {
        add_code_values<Words>(job, scratch, rows, begin, count, first_key, softmax);
      } else {
        add_float_values(job, scratch, rows, begin, count, first_key, softmax);
      }
    }
    for (uint32_t row = 0; row < count; ++row) {
      const Vector total = Simd::broadcast(softmax.total[row]);
      for (uint32_t d = 0; d < job->head_dim; d += kLanes) {
        const Vector sum = Simd::load(scratch.sums + size_t{row} * job->head_dim + d);
        Simd::store(rows[row].out + d, Simd::divide(sum, total));
      }
    }
  }

  static void attend(const AttentionJob* job) noexcept {
    if constexpr (kHasMatrices) {
      const bool is_coded = has_codes(job->keys.format) || has_codes(job->values.format);
      const uint32_t rows = (job->end_token - job->first_token) * job->group_heads;
      if (is_coded && takes_matrices(job, rows)) {
        Dots::Matrices::begin();
        attend_rows(job);
        Dots::Matrices::end();
        return;
      }
    }
    attend_rows(job);
  }

  static void attend_rows(const AttentionJob* job) noexcept {
    Row rows[kRoomRows] = {};
    uint32_t count = 0;
    for (uint32_t token = job->first_token; token < job->end_token; ++token) {
      for (uint32_t head = 0; head < job->group_heads; ++head) {
        rows[count++] = {job->queries + token * job->query_stride + head * job->head_dim,
                         job->out + token * job->out_stride + head * job->head_dim,
                         job->first_position + token + 1,
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
