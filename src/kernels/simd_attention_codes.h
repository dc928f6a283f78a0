// Scores with keys, and sums of values, that are codes: what simd_attention.h does with one tile of keys, or
// with a step's values.
//
// `Dots` is an instruction set's way to multiply the codes of queries and softmax's weights, of 16 bits, with
// those of keys and values:
//   Code                    of keys and values: int8_t or int16_t
//   kStep                   codes of a key or value that lie side by side
//   Simd, kRows             rows multiplied together; kLanes outputs are summed in one Dots::Sum
//   put_query               8 bits: stores kLanes codes of a row of `depth`, which takes 2 * depth bytes
//   put_weights             stores all codes of a row of 64
//   load_keys, load_values  kLanes outputs times kStep of the depth
//   query, weight           kStep codes of a row, for all lanes
//   zero(), add(sum, operand, codes), to_float(sum), and for keys to_float(sum, sum of the row's codes)
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_table.h"
#include "kernels/simd_attention_ahead.h"
#include "kernels/simd_norm_codes.h"
#include "kernels/simd_reduce.h"

namespace stonechat {

// What most Dots have in common: of codes of 8 bits, and of 16.
struct WideCodeDots {
  using Code = int8_t;
  static constexpr uint32_t kStep = 4;
  static constexpr float kWeightCodes = kFineCodes;
  // Rows that share a step's keys and values: a multiple of what is computed together, and of the heads that
  // share a key in Qwen2.5-0.5B.
  static constexpr uint32_t kGroupRows = 42;
  // As many rows or more are multiplied by matrices (simd_attention_matrices.h).
  static constexpr uint32_t kMatrixRows = UINT32_MAX;
};
struct WordCodeDots {
  using Code = int16_t;
  static constexpr uint32_t kStep = 2;
  static constexpr float kWeightCodes = kWordCodes;
};

template <typename Dots>
class SimdAttentionCodes {
 public:
  using CodeDots = Dots;
  using Simd = typename Dots::Simd;
  using Vector = typename Simd::Vector;
  using Sum = typename Dots::Sum;
  using Code = typename Dots::Code;
  static constexpr uint32_t kLanes = Simd::kLanes;
  static constexpr bool kHasWords = sizeof(Code) == sizeof(int16_t);
  static constexpr float kWeightCodes = Dots::kWeightCodes;  // the largest of softmax's weights

  static constexpr size_t query_bytes(uint32_t head_dim) { return 2 * size_t{head_dim}; }
  static constexpr size_t kWeightBytes = size_t{2} * kKeyStep;

  // A query as codes (query_bytes). Returns their unit times `scale`; *sum becomes their sum.
  static float put_query(const float* query, uint32_t head_dim, float scale, uint8_t* codes,
                         int32_t* sum) noexcept {
    *sum = 0;
    if constexpr (kHasWords) {
      return put_norm_codes<Simd>(query, head_dim, reinterpret_cast<int16_t*>(codes)) * scale;
    } else {
      return put_fine_codes(query, head_dim, scale, codes, sum);
    }
  }

  // The weights of 64 keys times their values' scales times `inverse`, as codes (kWeightBytes).
  static void put_weights(const float* weights, const float* scales, float inverse, uint8_t* codes) noexcept {
    Vector scaled[kKeyStep / kLanes];
    for (uint32_t v = 0; v < kKeyStep / kLanes; ++v) {
      const Vector products =
          Simd::multiply(Simd::load(weights + v * kLanes), Simd::load(scales + v * kLanes));
      scaled[v] = Simd::multiply(products, Simd::broadcast(inverse));
    }
    Dots::put_weights(scaled, codes);
  }

  // scores[row][key] = fma(query x key, factor * scales[key], shift) for rows [0, count) and all 32 keys.
  template <typename Row>
  static void score(const Row* rows, uint32_t count, const Code* keys, const float* scales, uint32_t head_dim,
                    const uint8_t* queries, float* scores) noexcept {
    for (uint32_t row = 0; row < count; row += Dots::kRows) {
      score_up_to<Dots::kRows>(count - row, rows + row, keys, scales, head_dim,
                               queries + row * query_bytes(head_dim), scores + row * kKeyStep);
    }
  }

  // sums[row][d] = fma(sums[row][d], factors[row], weights x values * units[row]), for rows [0, rows); all
  // weights from `keys` on are 0.
  static void add_values(uint32_t rows, uint32_t keys, const Code* values, uint32_t head_dim,
                         const uint8_t* weights, const float* units, const float* factors,
                         float* sums) noexcept {
    for (uint32_t row = 0; row < rows; row += Dots::kRows) {
      add_up_to<Dots::kRows>(rows - row, keys, values, head_dim, weights + row * kWeightBytes, units + row,
                             factors + row, sums + size_t{row} * head_dim);
    }
  }

  // The scores of kLanes keys.
  template <typename Row>
  [[gnu::always_inline]] static void put_scores(const Row& row, Vector dot, const float* scales,
                                                float* scores) noexcept {
    const Vector factor = Simd::multiply(Simd::broadcast(row.factor), Simd::load(scales));
    Simd::store(scores, Simd::fma(dot, factor, Simd::broadcast(row.shift)));
  }

  // out = fma(out, factor, sum * unit).
  [[gnu::always_inline]] static void add_scaled(const Sum& sum, float unit, float factor,
                                                float* out) noexcept {
    const Vector added = Simd::multiply(Dots::to_float(sum), Simd::broadcast(unit));
    Simd::store(out, Simd::fma(Simd::load(out), Simd::broadcast(factor), added));
  }

 private:
  static constexpr uint32_t kVectors = 2;  // of outputs, summed together

  // Codes of up to kFineCodes.
  static float put_fine_codes(const float* query, uint32_t head_dim, float scale, uint8_t* codes,
                              int32_t* sum) noexcept {
    const float largest = largest_magnitude<Simd>(query, head_dim);
    const bool is_zero = largest <= 1e-30F;
    const Vector inverse = Simd::broadcast(is_zero ? 0.0F : kFineCodes / largest);
    for (uint32_t d = 0; d < head_dim; d += kLanes)
      *sum += Dots::put_query(Simd::multiply(Simd::load(query + d), inverse), codes, head_dim, d);
    return is_zero ? 0.0F : (largest / kFineCodes) * scale;
  }

  // GCC keeps sums in memory unless it unrolls all loops over them early, and in functions of their own.
  template <uint32_t kRows>
  [[gnu::always_inline]] static void clear(Sum (&sum)[kRows][kVectors]) noexcept {
#pragma GCC unroll 16
    for (uint32_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (uint32_t v = 0; v < kVectors; ++v) sum[r][v] = Dots::zero();
    }
  }

  template <uint32_t kRows, typename Row>
  [[gnu::noinline]] static void score_rows(const Row* rows, const Code* keys, const float* scales,
                                           uint32_t head_dim, const uint8_t* queries,
                                           float* scores) noexcept {
    for (uint32_t key = 0; key < kKeyTile; key += kVectors * kLanes) {
      Sum sum[kRows][kVectors];
      clear(sum);
      for (uint32_t d = 0; d < head_dim; d += Dots::kStep) {
        typename Dots::Keys operand[kVectors];
        for (uint32_t v = 0; v < kVectors; ++v) {
          const Code* codes = keys + (size_t{d} * kKeyTile + Dots::kStep * (key + v * kLanes));
          operand[v] = Dots::load_keys(codes);
          if (begins_line(v * sizeof(Vector))) ask_for_next_step(codes, head_dim);
        }
#pragma GCC unroll 16
        for (uint32_t r = 0; r < kRows; ++r) {
          const auto codes = Dots::query(queries + r * query_bytes(head_dim), head_dim, d);
#pragma GCC unroll 2
          for (uint32_t v = 0; v < kVectors; ++v) Dots::add(sum[r][v], operand[v], codes);
        }
      }
#pragma GCC unroll 16
      for (uint32_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
        for (uint32_t v = 0; v < kVectors; ++v) {
          const uint32_t first = key + v * kLanes;
          const Vector dot = Dots::to_float(sum[r][v], rows[r].query_sum);
          put_scores(rows[r], dot, scales + first, scores + r * kKeyStep + first);
        }
      }
    }
  }

  // The first kRows of `count` rows, or all where they are fewer.
  template <uint32_t kRows, typename Row>
  static void score_up_to(uint32_t count, const Row* rows, const Code* keys, const float* scales,
                          uint32_t head_dim, const uint8_t* queries, float* scores) noexcept {
    if constexpr (kRows > 1) {
      if (count < kRows) return score_up_to<kRows - 1>(count, rows, keys, scales, head_dim, queries, scores);
    }
    score_rows<kRows>(rows, keys, scales, head_dim, queries, scores);
  }

  template <uint32_t kRows>
  [[gnu::noinline]] static void add_some(uint32_t keys, const Code* values, uint32_t head_dim,
                                         const uint8_t* weights, const float* units, const float* factors,
                                         float* sums) noexcept {
    Sum sum[kRows][kVectors];
    clear(sum);
    for (uint32_t j = 0; j < keys; j += Dots::kStep) {
      typename Dots::Values operand[kVectors];
      for (uint32_t v = 0; v < kVectors; ++v) {
        const Code* codes = values + size_t{j} * head_dim + size_t{Dots::kStep} * v * kLanes;
        operand[v] = Dots::load_values(codes);
        if (begins_line(v * sizeof(Vector))) ask_for_next_step(codes, head_dim);
      }
#pragma GCC unroll 16
      for (uint32_t r = 0; r < kRows; ++r) {
        const auto codes = Dots::weight(weights + r * kWeightBytes, kKeyStep, j);
#pragma GCC unroll 2
        for (uint32_t v = 0; v < kVectors; ++v) Dots::add(sum[r][v], operand[v], codes);
      }
    }
#pragma GCC unroll 16
    for (uint32_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (uint32_t v = 0; v < kVectors; ++v) {
        add_scaled(sum[r][v], units[r], factors[r], sums + size_t{r} * head_dim + v * kLanes);
      }
    }
  }

  template <uint32_t kRows>
  static void add_up_to(uint32_t count, uint32_t keys, const Code* values, uint32_t head_dim,
                        const uint8_t* weights, const float* units, const float* factors,
                        float* sums) noexcept {
    if constexpr (kRows > 1) {
      if (count < kRows)
        return add_up_to<kRows - 1>(count, keys, values, head_dim, weights, units, factors, sums);
    }
    for (uint32_t d = 0; d < head_dim; d += kVectors * kLanes)
      add_some<kRows>(keys, values + size_t{Dots::kStep} * d, head_dim, weights, units, factors, sums + d);
  }
};

}  // namespace stonechat
