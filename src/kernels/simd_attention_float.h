// Scores with keys, and sums of values, that are floats: what simd_attention.h does with one tile of keys,
// or with a step's values.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_table.h"
#include "kernels/simd_attention_ahead.h"

namespace stonechat {

template <typename Simd>
class SimdAttentionFloat {
 public:
  using Vector = typename Simd::Vector;
  static constexpr uint32_t kLanes = Simd::kLanes;

  // Where keys or values are read from, vector by vector.
  struct Floats {
    static constexpr uint32_t kScoreRows = Simd::kScoreRows;
    static constexpr uint32_t kValueRows = Simd::kValueRows;
    const float* data;
    Vector load(size_t index) const noexcept { return Simd::load(data + index); }
    void ask_ahead(size_t, uint32_t) const noexcept {}
    Floats operator+(size_t index) const noexcept { return {data + index}; }
  };
  struct Halves {
    static constexpr uint32_t kScoreRows = Simd::kFewRows;
    static constexpr uint32_t kValueRows = Simd::kFewRows;
    const uint16_t* data;
    Vector load(size_t index) const noexcept { return Simd::widen_half(data + index); }
    void ask_ahead(size_t index, uint32_t head_dim) const noexcept {
      ask_for_next_step(data + index, head_dim);
    }
    Halves operator+(size_t index) const noexcept { return {data + index}; }
  };

  // So many keys or values from position `first` on in FP32, in the cache's order: where they lie, or widened
  // into `out`.
  static Floats floats(const CachedHead& head, uint32_t first, uint32_t keys, uint32_t head_dim,
                       float* out) noexcept {
    if (head.format == kCacheF32) return {static_cast<const float*>(head.data) + size_t{first} * head_dim};
    const uint16_t* halves = static_cast<const uint16_t*>(head.data) + size_t{first} * head_dim;
    for (uint32_t i = 0; i < keys * head_dim; i += kLanes) {
      if (begins_line(i * sizeof(uint16_t))) ask_for_next_step(halves + i, head_dim);
      Simd::store(out + i, Simd::widen_half(halves + i));
    }
    return {out};
  }

  // Few rows take halves as they are: widening once for all of them doesn't pay.
  static bool takes_halves(const CachedHead& head, uint32_t rows) noexcept {
    return head.format == kCacheF16 && rows <= Simd::kFewRows;
  }
  static Halves halves(const CachedHead& head, uint32_t first, uint32_t head_dim) noexcept {
    return {static_cast<const uint16_t*>(head.data) + size_t{first} * head_dim};
  }

  // scores[row][key] = fma(query x key, scale, shift) for rows [0, count) and all 32 keys.
  template <typename Row, typename Source>
  static void score(const Row* rows, uint32_t count, Source keys, uint32_t head_dim, float scale,
                    float* scores) noexcept {
    for (uint32_t row = 0; row < count; row += Source::kScoreRows)
      score_up_to<Source::kScoreRows>(count - row, rows + row, keys, head_dim, scale,
                                      scores + row * kKeyStep);
  }

  // sums[row][d] = fma(sums[row][d], factors[row], sum of weights[row][key] * values[key][d] in the order of
  // the `keys` keys), for rows [0, rows).
  template <typename Source>
  static void add_values(uint32_t rows, Source values, uint32_t head_dim, uint32_t keys, const float* weights,
                         const float* factors, float* sums) noexcept {
    for (uint32_t row = 0; row < rows; row += Source::kValueRows) {
      add_up_to<Source::kValueRows>(rows - row, values, head_dim, keys, weights + row * kKeyStep,
                                    factors + row, sums + size_t{row} * head_dim);
    }
  }

 private:
  static constexpr uint32_t kKeyVectors = kKeyTile / kLanes;

  // GCC keeps sums in memory unless it unrolls all loops over them early, and in functions of their own.
  template <uint32_t kRows, uint32_t kVectors>
  [[gnu::always_inline]] static void clear(Vector (&sum)[kRows][kVectors]) noexcept {
#pragma GCC unroll 16
    for (uint32_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (uint32_t v = 0; v < kVectors; ++v) sum[r][v] = Simd::broadcast(0);
    }
  }

  template <uint32_t kRows, typename Row, typename Source>
  [[gnu::noinline]] static void score_rows(const Row* rows, Source keys, uint32_t head_dim, float scale,
                                           float* scores) noexcept {
    Vector sum[kRows][kKeyVectors];
    clear(sum);
    for (uint32_t d = 0; d < head_dim; ++d) {
      Vector key[kKeyVectors];
#pragma GCC unroll 4
      for (uint32_t v = 0; v < kKeyVectors; ++v) key[v] = keys.load(size_t{d} * kKeyTile + v * kLanes);
      keys.ask_ahead(size_t{d} * kKeyTile, head_dim);
#pragma GCC unroll 16
      for (uint32_t r = 0; r < kRows; ++r) {
        const Vector query = Simd::broadcast(rows[r].query[d]);
#pragma GCC unroll 4
        for (uint32_t v = 0; v < kKeyVectors; ++v) sum[r][v] = Simd::fma(query, key[v], sum[r][v]);
      }
    }
#pragma GCC unroll 16
    for (uint32_t r = 0; r < kRows; ++r) {
      const Vector shift = Simd::broadcast(rows[r].shift);
#pragma GCC unroll 4
      for (uint32_t v = 0; v < kKeyVectors; ++v) {
        Simd::store(scores + r * kKeyStep + v * kLanes, Simd::fma(sum[r][v], Simd::broadcast(scale), shift));
      }
    }
  }

  // The first kRows of `count` rows, or all where they are fewer.
  template <uint32_t kRows, typename Row, typename Source>
  static void score_up_to(uint32_t count, const Row* rows, Source keys, uint32_t head_dim, float scale,
                          float* scores) noexcept {
    if constexpr (kRows > 1) {
      if (count < kRows) return score_up_to<kRows - 1>(count, rows, keys, head_dim, scale, scores);
    }
    score_rows<kRows>(rows, keys, head_dim, scale, scores);
  }

  template <uint32_t kRows, uint32_t kVectors, typename Source>
  [[gnu::noinline]] static void add_some(Source values, uint32_t head_dim, uint32_t keys,
                                         const float* weights, const float* factors, float* sums) noexcept {
    Vector sum[kRows][kVectors];
    clear(sum);
    for (uint32_t j = 0; j < keys; ++j) {
      Vector value[kVectors];
#pragma GCC unroll 4
      for (uint32_t v = 0; v < kVectors; ++v) {
        value[v] = values.load(size_t{j} * head_dim + v * kLanes);
        if (kRows > 1) Simd::keep(value[v]);
        if (begins_line(v * kLanes * sizeof(uint16_t)))
          values.ask_ahead(size_t{j} * head_dim + v * kLanes, head_dim);
      }
#pragma GCC unroll 16
      for (uint32_t r = 0; r < kRows; ++r) {
        const Vector weight = Simd::broadcast(weights[r * kKeyStep + j]);
#pragma GCC unroll 4
        for (uint32_t v = 0; v < kVectors; ++v) sum[r][v] = Simd::fma(weight, value[v], sum[r][v]);
      }
    }
#pragma GCC unroll 16
    for (uint32_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (uint32_t v = 0; v < kVectors; ++v) {
        float* out = sums + size_t{r} * head_dim + v * kLanes;
        Simd::store(out, Simd::fma(Simd::load(out), Simd::broadcast(factors[r]), sum[r][v]));
      }
    }
  }

  template <uint32_t kRows, typename Source>
  static void add_up_to(uint32_t count, Source values, uint32_t head_dim, uint32_t keys, const float* weights,
                        const float* factors, float* sums) noexcept {
    if constexpr (kRows > 1) {
      if (count < kRows) return add_up_to<kRows - 1>(count, values, head_dim, keys, weights, factors, sums);
    }
    constexpr uint32_t kVectors = kRows > Simd::kFewRows ? 2 : 4;  // of a row's sums, at once
    uint32_t d = 0;
    for (; d + kVectors * kLanes <= head_dim; d += kVectors * kLanes)
      add_some<kRows, kVectors>(values + d, head_dim, keys, weights, factors, sums + d);
    for (; d < head_dim; d += kLanes)
      add_some<kRows, 1>(values + d, head_dim, keys, weights, factors, sums + d);
  }
};

}  // namespace stonechat
