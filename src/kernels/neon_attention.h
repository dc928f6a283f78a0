// Attention in steps of 64 keys with a running maximum, for an Arm instruction set's way to multiply codes.
//
// Included by neon*.cc only. The rows (token, head) of a job go through in groups, which share each step's
// keys and values: binary16 is widened to FP32 once for all of them, unless they are few.
//
// `Dots` multiplies the codes of queries and softmax's weights, of 16 bits, with a step's codes of 8 bits,
// which lie as [depth / 4][output][4], `Dots::Words` with those of 16 bits, [depth / 2][output][2]:
//   Code, kWeightCodes             of the tile; the largest of softmax's weights
//   put(codes, depth, i, eight)    stores codes i .. i + 7 of a row, which takes 2 * depth bytes
//   operand(tile, outputs, depth, area)
//                                  the tile as multiply() wants it, in 2 * outputs * depth bytes of area
//   multiply(operand, outputs, depth, rows, codes, dots, use)
//                                  use(row, output, exact sums of four outputs); outputs is a multiple of 16;
//                                  dots is (rows, outputs) for its own use
#pragma once

#include <math.h>

#include "kernels/attention_rows.h"
#include "kernels/neon_norm_codes.h"
#include "kernels/neon_product.h"

namespace stonechat::neon {

struct FineCodes {
  using Code = int8_t;
  static constexpr float kWeightCodes = kFineCodes;
};
struct WordCodes {
  using Code = int16_t;
  static constexpr float kWeightCodes = kWordCodes;
};

template <typename Dots>
class NeonAttention {
 public:
  static constexpr AttentionKernels kernels() { return {scratch_bytes, attend}; }

 private:
  using Words = typename Dots::Words;
  static constexpr uint32_t kGroupRows = 64;  // rows that share a step's keys and values
  template <typename Number>
  static constexpr uint32_t kMostVectors = sizeof(Number) == sizeof(float) ? kProductVectors
                                                                           : kHalfProductVectors;

  // One row of the group.
  struct Row {
    float* out;
    uint32_t visible;  // keys that it sees
    float shift;       // of the scores of these keys
    float factor;      // of products with the query's codes
  };

  using Softmax = AttentionSoftmax<kGroupRows + kLanes - 1>;

  // The parts of a job's scratch.
  struct Scratch {
    float* widened;         // a tile's keys (head_dim, 32), then the step's values (64, head_dim); or codes
                            // of either as multiply() wants them
    float* queries;         // (rows, head_dim)
    float* sums;            // (rows, head_dim)
    float* scores;          // (rows, 64), later softmax's weights
    int32_t* dots;          // (rows, the larger of head_dim and 32)
    uint8_t* query_codes;   // (rows, 2 * head_dim)
    uint8_t* weight_codes;  // (rows, 2 * 64)
  };

  // Of scores, as powers of two.
  static float scale_of(const AttentionJob* job) noexcept { return job->scale * kLog2E; }

  static uint32_t most_outputs(uint32_t head_dim) noexcept {
    return head_dim > kKeyTile ? head_dim : kKeyTile;
  }

  static size_t scratch_bytes(uint32_t head_dim) noexcept {
    const size_t floats = (size_t{kKeyStep} + 2 * kGroupRows) * head_dim + kGroupRows * kKeyStep;
    const size_t dots = size_t{kGroupRows} * most_outputs(head_dim);
    return (floats + dots) * sizeof(float) + size_t{2} * kGroupRows * (head_dim + kKeyStep);
  }

  static Scratch scratch_of(const AttentionJob* job) noexcept {
    const size_t rows = size_t{kGroupRows} * job->head_dim;
    Scratch scratch;
    scratch.widened = job->scratch;
    scratch.queries = scratch.widened + size_t{kKeyStep} * job->head_dim;
    scratch.sums = scratch.queries + rows;
    scratch.scores = scratch.sums + rows;
    scratch.dots = reinterpret_cast<int32_t*>(scratch.scores + size_t{kGroupRows} * kKeyStep);
    scratch.query_codes =
        reinterpret_cast<uint8_t*>(scratch.dots + size_t{kGroupRows} * most_outputs(job->head_dim));
    scratch.weight_codes = scratch.query_codes + 2 * rows;
    return scratch;
  }

  // Calls `use` with a tile's keys or values in the cache's order: floats or halves where they lie, or halves
  // widened into `area`.
  template <typename Use>
  static void use_tile(const CachedHead& head, size_t first, uint32_t count, uint32_t rows, float* area,
                       Use&& use) noexcept {
    if (head.format == kCacheF32) return use(static_cast<const float*>(head.data) + first);
    const auto* halves = static_cast<const uint16_t*>(head.data) + first;
    // What one product takes is widened on the way.
    if (rows <= kMostVectors<uint16_t>) return use(halves);
    widen_halves(halves, count, area);
    use(static_cast<const float*>(area));
  }

  // Masks those of the first kKeys scores of one step that the row doesn't see; returns the largest of the
  // others, lane by lane.
  template <uint32_t kKeys>
  static float32x4_t mask(uint32_t keys, float* scores) noexcept {
    constexpr uint32_t kVectors = kKeys / kLanes;
    float32x4_t score[kVectors];
#pragma GCC unroll 16
    for (uint32_t v = 0; v < kVectors; ++v) score[v] = vld1q_f32(scores + v * kLanes);
    if (keys < kKeys) {
      constexpr uint32_t kIndices[kLanes] = {0, 1, 2, 3};
      const uint32x4_t first = vld1q_u32(kIndices);
#pragma GCC unroll 16
      for (uint32_t v = 0; v < kVectors; ++v) {
        const uint32x4_t is_visible = vcltq_u32(vaddq_u32(first, vdupq_n_u32(v * kLanes)), vdupq_n_u32(keys));
        score[v] = vbslq_f32(is_visible, score[v], vdupq_n_f32(-INFINITY));
        vst1q_f32(scores + v * kLanes, score[v]);
      }
    }
#pragma GCC unroll 4
    for (uint32_t half = kVectors / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
      for (uint32_t v = 0; v < half; ++v) score[v] = vmaxq_f32(score[v], score[v + half]);
    }
    return score[0];
  }

  // Turns kKeys scores of a row into weights; returns their sum, as tree() has it when four values are left.
  template <uint32_t kKeys>
  static float32x4_t weigh(float largest, float* scores) noexcept {
    constexpr uint32_t kVectors = kKeys / kLanes;
    float32x4_t sums[kVectors / 2];
#pragma GCC unroll 4
    for (uint32_t first = 0; first < kVectors; first += 4) {
      float32x4_t weights[4];
#pragma GCC unroll 4
      for (uint32_t v = 0; v < 4; ++v)
        weights[v] = vsubq_f32(vld1q_f32(scores + (first + v) * kLanes), vdupq_n_f32(largest));
      exp2_shared(weights);
#pragma GCC unroll 4
      for (uint32_t v = 0; v < 4; ++v) {
        vst1q_f32(scores + (first + v) * kLanes, weights[v]);
        const uint32_t i = (first + v) % (kVectors / 2);
        sums[i] = first + v == i ? weights[v] : vaddq_f32(sums[i], weights[v]);
      }
    }
#pragma GCC unroll 4
    for (uint32_t half = kVectors / 4; half > 0; half /= 2) {
#pragma GCC unroll 4
      for (uint32_t v = 0; v < half; ++v) sums[v] = vaddq_f32(sums[v], sums[v + half]);
    }
    return sums[0];
  }

  // The ends of the tree()s of two rows: two sums left of each.
  static float32x4_t add_halves(float32x4_t a, float32x4_t b) noexcept {
    const float64x2_t first = vreinterpretq_f64_f32(a);
    const float64x2_t second = vreinterpretq_f64_f32(b);
    return vaddq_f32(vreinterpretq_f32_f64(vzip1q_f64(first, second)),
                     vreinterpretq_f32_f64(vzip2q_f64(first, second)));
  }

  // Turns the first kKeys scores of rows [begin, end) into weights, four rows at once; none sees more.
  // Numbers of rows behind the last one are read and written, and mean nothing.
  template <uint32_t kKeys>
  static void soften(const Row* rows, uint32_t begin, uint32_t end, uint32_t first_key, float* scores,
                     Softmax& softmax) noexcept {
    for (uint32_t row = begin; row < end; row += kLanes) {
      const uint32_t count = end - row < kLanes ? end - row : kLanes;
      float* const first = scores + size_t{row} * kKeyStep;
      float32x4_t each[kLanes] = {};
      for (uint32_t i = 0; i < count; ++i)
        each[i] = mask<kKeys>(keys_seen(rows[row + i], first_key), first + i * kKeyStep);
      const float32x4_t step_largest = vpmaxq_f32(vpmaxq_f32(each[0], each[1]), vpmaxq_f32(each[2], each[3]));
      const float32x4_t largest_before = vld1q_f32(softmax.largest + row);
      const float32x4_t largest = vmaxq_f32(step_largest, largest_before);
      float32x4_t factors[2] = {vsubq_f32(largest_before, largest), vsubq_f32(step_largest, largest)};
      exp2_shared(factors);
      vst1q_f32(softmax.largest + row, largest);
      vst1q_f32(softmax.before + row, factors[0]);
      vst1q_f32(softmax.most + row, factors[1]);
      for (uint32_t i = 0; i < count; ++i)
        each[i] = weigh<kKeys>(softmax.largest[row + i], first + i * kKeyStep);
      const float32x4_t sum = vpaddq_f32(add_halves(each[0], each[1]), add_halves(each[2], each[3]));
      vst1q_f32(softmax.sum + row, sum);
      vst1q_f32(softmax.total + row, vfmaq_f32(sum, vld1q_f32(softmax.total + row), factors[0]));
    }
  }

  template <typename C>
  static constexpr bool has_words() {
    return sizeof(typename C::Code) == sizeof(int16_t);
  }

  // A query as codes; returns their unit times `scale`.
  template <typename C>
  static float put_query(const float* query, uint32_t head_dim, float scale, uint8_t* codes) noexcept {
    if constexpr (has_words<C>()) {
      const auto put = [&](uint32_t d, int16x8_t eight) { C::put(codes, head_dim, d, eight); };
      return put_norm_codes(query, head_dim, put) * scale;
    }
    float32x4_t most = vdupq_n_f32(0);
    for (uint32_t d = 0; d < head_dim; d += kLanes) most = vmaxq_f32(most, vabsq_f32(vld1q_f32(query + d)));
    const float largest = vmaxvq_f32(most);
    const bool is_zero = largest <= 1e-30F;
    const float inverse = is_zero ? 0.0F : kFineCodes / largest;
    const auto scaled = [&](uint32_t d) { return vmulq_n_f32(vld1q_f32(query + d), inverse); };
    for (uint32_t d = 0; d < head_dim; d += 2 * kLanes)
      C::put(codes, head_dim, d, round_eight(scaled(d), scaled(d + kLanes)));
    return is_zero ? 0.0F : (largest / kFineCodes) * scale;
  }

  // Of the tile from first_key on; `scores` are those of row `begin`. So with score_codes().
  static void score_float(const AttentionJob* job, const Scratch& scratch, const Row* rows, uint32_t begin,
                          uint32_t end, uint32_t first_key, float* scores) noexcept {
    const uint32_t head_dim = job->head_dim;
    const uint32_t most = keys_seen(rows[end - 1], first_key);
    const uint32_t seen = most < kKeyTile ? most : kKeyTile;
    const float32x4_t scale = vdupq_n_f32(scale_of(job));
    const auto score = [&]<typename Key>(const Key* keys) {
      for_vectors<kMostVectors<Key>>(end - begin, [&]<uint32_t kRows>(uint32_t first) {
        const Row* row = rows + begin + first;
        const float* queries = scratch.queries + size_t{begin + first} * head_dim;
        float* const out = scores + size_t{first} * kKeyStep;
        for (uint32_t key = 0; key < seen; key += kProductFours<kRows> * kLanes) {
          multiply_vectors<kRows>(
              keys + key, kKeyTile, queries, head_dim, head_dim,
              [](uint32_t, uint32_t) { return vdupq_n_f32(0); },
              [&](uint32_t r, uint32_t i, float32x4_t dot) {
                vst1q_f32(out + r * kKeyStep + key + i, vfmaq_f32(vdupq_n_f32(row[r].shift), dot, scale));
              });
        }
      });
    };
    use_tile(job->keys, size_t{first_key} * head_dim, kKeyTile * head_dim, end - begin, scratch.widened,
             score);
  }

  template <typename C>
  static void score_codes(const AttentionJob* job, const Scratch& scratch, const Row* rows, uint32_t begin,
                          uint32_t end, uint32_t first_key, float* scores) noexcept {
    const uint32_t head_dim = job->head_dim;
    const auto* tile = static_cast<const typename C::Code*>(job->keys.data) + size_t{first_key} * head_dim;
    const float* scales = job->keys.scales + first_key;
    C::multiply(C::operand(tile, kKeyTile, head_dim, scratch.widened), kKeyTile, head_dim, end - begin,
                scratch.query_codes + size_t{2} * begin * head_dim, scratch.dots,
                [&](uint32_t r, uint32_t key, int32x4_t dot) {
                  const Row& row = rows[begin + r];
                  const float32x4_t factor = vmulq_n_f32(vld1q_f32(scales + key), row.factor);
                  vst1q_f32(scores + size_t{r} * kKeyStep + key,
                            vfmaq_f32(vdupq_n_f32(row.shift), vcvtq_f32_s32(dot), factor));
                });
  }

  static void add_float_values(const AttentionJob* job, const Scratch& scratch, const Row* rows,
                               uint32_t begin, uint32_t end, uint32_t first_key,
                               const Softmax& softmax) noexcept {
    const uint32_t head_dim = job->head_dim;
    const auto add = [&]<typename Value>(const Value* values) {
      for_rows_alike(rows, begin, end, first_key, [&](uint32_t row, uint32_t next, uint32_t keys) {
        for_vectors<kMostVectors<Value>>(next - row, [&]<uint32_t kRows>(uint32_t first) {
          const float* weights = scratch.scores + size_t{row + first} * kKeyStep;
          const float* before = softmax.before + row + first;
          float* sums = scratch.sums + size_t{row + first} * head_dim;
          for (uint32_t d = 0; d < head_dim; d += kProductFours<kRows> * kLanes) {
            multiply_vectors<kRows>(
                values + d, head_dim, weights, kKeyStep, keys,
                [](uint32_t, uint32_t) { return vdupq_n_f32(0); },
                [&](uint32_t r, uint32_t i, float32x4_t added) {
                  float* sum = sums + size_t{r} * head_dim + d + i;
                  vst1q_f32(sum, vfmaq_n_f32(added, vld1q_f32(sum), before[r]));
                });
          }
        });
      });
    };
    use_tile(job->values, size_t{first_key} * head_dim, keys_there(rows, end, first_key) * head_dim,
             end - begin, scratch.widened, add);
  }

  template <typename C>
  static void add_code_values(const AttentionJob* job, const Scratch& scratch, const Row* rows,
                              uint32_t begin, uint32_t end, uint32_t first_key, Softmax& softmax) noexcept {
    const uint32_t head_dim = job->head_dim;
    const float* scales = job->values.scales + first_key;
    const uint32_t keys = keys_there(rows, end, first_key);
    float largest_scale[kKeyStep];  // of the keys up to this one
    largest_scale[0] = scales[0];
    for (uint32_t j = 1; j < keys; ++j) largest_scale[j] = fmaxf(scales[j], largest_scale[j - 1]);
    for (uint32_t row = begin; row < end; ++row)
      softmax.unit[row] = largest_scale[keys_seen(rows[row], first_key) - 1];
    for (uint32_t row = begin; row < end; row += kLanes) {
      float32x4_t most = vld1q_f32(softmax.most + row);
      if (has_words<C>()) most = vmaxq_f32(most, vmulq_n_f32(vld1q_f32(softmax.sum + row), 0.5F));
      const float32x4_t bound =
          vmaxq_f32(vmulq_f32(most, vld1q_f32(softmax.unit + row)), vdupq_n_f32(kLeastWeight));
      const float32x4_t codes = vdupq_n_f32(C::kWeightCodes);
      vst1q_f32(softmax.unit + row, vdivq_f32(bound, codes));
      vst1q_f32(softmax.inverse + row, vdivq_f32(codes, bound));
    }
    for (uint32_t row = begin; row < end; ++row) {
      const float* weights = scratch.scores + size_t{row} * kKeyStep;
      const auto scaled = [&](uint32_t j) {
        return vmulq_n_f32(vmulq_f32(vld1q_f32(weights + j), vld1q_f32(scales + j)), softmax.inverse[row]);
      };
      for (uint32_t j = 0; j < keys; j += 2 * kLanes) {
        C::put(scratch.weight_codes + size_t{2} * row * keys, keys, j,
               round_eight(scaled(j), scaled(j + kLanes)));
      }
    }
    const auto* tile = static_cast<const typename C::Code*>(job->values.data) + size_t{first_key} * head_dim;
    C::multiply(C::operand(tile, head_dim, keys, scratch.widened), head_dim, keys, end - begin,
                scratch.weight_codes + size_t{2} * begin * keys, scratch.dots,
                [&](uint32_t r, uint32_t d, int32x4_t dot) {
                  float* sum = scratch.sums + size_t{begin + r} * head_dim + d;
                  const float32x4_t added = vmulq_n_f32(vcvtq_f32_s32(dot), softmax.unit[begin + r]);
                  vst1q_f32(sum, vfmaq_n_f32(added, vld1q_f32(sum), softmax.before[begin + r]));
                });
  }

  // c of AttentionKernels for the keys from first_key on.
  static float shift_of(const AttentionJob* job, const float* query, uint32_t first_key) noexcept {
    const float* shift = job->shifts + size_t{first_key} / kKeyShift * job->head_dim;
    float32x4_t sum[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    for (uint32_t d = 0; d < job->head_dim; d += 16) {
      for (uint32_t v = 0; v < 4; ++v) {
        const uint32_t i = d + v * kLanes;
        sum[v] = vfmaq_f32(sum[v], vld1q_f32(query + i), vld1q_f32(shift + i));
      }
    }
    return tree_sum(sum[0], sum[1], sum[2], sum[3]) * scale_of(job);
  }

  static void attend_group(const AttentionJob* job, const Scratch& scratch, Row* rows,
                           uint32_t count) noexcept {
    const uint32_t head_dim = job->head_dim;
    memset(scratch.sums, 0, size_t{count} * head_dim * sizeof(float));
    const auto put_queries = [&]<typename C>(C) {
      for (uint32_t row = 0; row < count; ++row) {
        rows[row].factor = put_query<C>(scratch.queries + size_t{row} * head_dim, head_dim, scale_of(job),
                                        scratch.query_codes + size_t{2} * row * head_dim);
      }
    };
    if (job->keys.format == kCacheQ8) put_queries(Dots());
    if (job->keys.format == kCacheQ16) put_queries(Words());
    Softmax softmax = {};
    for (uint32_t row = 0; row < count; ++row) softmax.largest[row] = -INFINITY;
    const uint32_t most_keys = rows[count - 1].visible;
    uint32_t begin = 0;  // rows before it don't see this step any more
    for (uint32_t first_key = 0; first_key < most_keys; first_key += kKeyStep) {
      while (rows[begin].visible <= first_key) ++begin;
      if (job->shifts != nullptr && first_key != 0 && first_key % kKeyShift == 0) {
        for (uint32_t row = begin; row < count; ++row)
          rows[row].shift = shift_of(job, scratch.queries + size_t{row} * head_dim, first_key);
      }
      const uint32_t there = keys_there(rows, count, first_key);
      for (uint32_t key = 0; key < there; key += kKeyTile) {
        float* const scores = scratch.scores + size_t{begin} * kKeyStep + key;
        if (job->keys.format == kCacheQ8) {
          score_codes<Dots>(job, scratch, rows, begin, count, first_key + key, scores);
        } else if (job->keys.format == kCacheQ16) {
          score_codes<Words>(job, scratch, rows, begin, count, first_key + key, scores);
        } else {
          score_float(job, scratch, rows, begin, count, first_key + key, scores);
        }
      }
      const auto soften_there = there == kKeyTile ? soften<kKeyTile> : soften<kKeyStep>;
      soften_there(rows, begin, count, first_key, scratch.scores, softmax);
      if (job->values.format == kCacheQ8) {
        add_code_values<Dots>(job, scratch, rows, begin, count, first_key, softmax);
      } else if (job->values.format == kCacheQ16) {
        add_code_values<Words>(job, scratch, rows, begin, count, first_key, softmax);
      } else {
        add_float_values(job, scratch, rows, begin, count, first_key, softmax);
      }
    }
    for (uint32_t row = 0; row < count; ++row) {
      const float32x4_t total = vdupq_n_f32(softmax.total[row]);
      const float* sums = scratch.sums + size_t{row} * head_dim;
      for (uint32_t d = 0; d < head_dim; d += kLanes)
        vst1q_f32(rows[row].out + d, vdivq_f32(vld1q_f32(sums + d), total));
    }
  }

  static void attend(const AttentionJob* job) noexcept {
    const Scratch scratch = scratch_of(job);
    Row rows[kGroupRows];
    uint32_t count = 0;
    for (uint32_t token = job->first_token; token < job->end_token; ++token) {
      for (uint32_t head = 0; head < job->group_heads; ++head) {
        const size_t offset = size_t{head} * job->head_dim;
        memcpy(scratch.queries + size_t{count} * job->head_dim,
               job->queries + token * job->query_stride + offset, job->head_dim * sizeof(float));
        rows[count++] = {job->out + token * job->out_stride + offset, job->first_position + token + 1, 0, 0};
        if (count == kGroupRows) {
          attend_group(job, scratch, rows, count);
          count = 0;
        }
      }
    }
    if (count > 0) attend_group(job, scratch, rows, count);
  }
};

}  // namespace stonechat::neon
