// Scores with keys, and sums of values, that are codes, where a processor multiplies whole matrices: what
// simd_attention_codes.h does row by row, for kRows rows and a vector of outputs at once.
//
// `Dots::Matrices` multiplies codes as digits of 8 bits:
//   kRows, kDepth    rows that are multiplied at once, and codes of each
//   split_row        a row's codes, as SimdAttentionCodes stores them, become digits in place
//   split_columns    the same for a tile of keys, or a step's values; returns where their digits are
//   load_rows        takes kDepth codes of kRows rows
//   clear, add       the sums of these rows and a vector of outputs become 0; their products are added
//   kParts, part     add() and then storing the sums as Products, in so many parts
//   sum_of           the sum of a row among Products, as a Dots::Sum
//
// What a product comes to passes through memory. It is scaled and added beside the next product, some rows
// after each part of that, so that neither waits for the other (docs/performance/intel.md).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_table.h"
#include "kernels/simd_attention_codes.h"

namespace stonechat {

template <typename Codes>
class SimdAttentionMatrices {
 public:
  using Code = typename Codes::Code;

  // Codes of queries or weights, `depth` a row, become digits in place.
  static void split_rows(uint32_t rows, uint32_t depth, uint8_t* codes) noexcept {
    for (uint32_t row = 0; row < rows; ++row)
      Matrices::split_row(codes + row * Codes::query_bytes(depth), depth);
  }

  // SimdAttentionCodes::score() of the first `keys` of a step. Scores of up to kRows - 1 rows more are
  // written; `digits` is room for two bytes a code.
  template <typename Row>
  [[gnu::noinline]] static void score(const Row* rows, uint32_t count, const Code* codes, uint32_t keys,
                                      const float* scales, uint32_t head_dim, const uint8_t* queries,
                                      uint8_t* digits, float* scores) noexcept {
    const uint8_t* columns = Matrices::split_columns(codes, head_dim, kKeyTile, head_dim, digits);
    for (uint32_t key = kKeyTile; key < keys; key += kKeyTile) {
      const size_t at = size_t{key} * head_dim;
      Matrices::split_columns(codes + at, head_dim, kKeyTile, head_dim, digits + at * sizeof(Code));
    }
    multiply(count, {queries, head_dim, columns, kKeyTile}, keys, Scores<Row>{rows, scales, scores});
  }

  // SimdAttentionCodes::add_values() of all 64 values. Sums of up to kRows - 1 rows more are written.
  [[gnu::noinline]] static void add_values(uint32_t rows, const Code* values, uint32_t head_dim,
                                           const uint8_t* weights, const float* units, const float* factors,
                                           uint8_t* digits, float* sums) noexcept {
    const uint8_t* columns = Matrices::split_columns(values, kKeyStep, head_dim, head_dim, digits);
    multiply(rows, {weights, kKeyStep, columns, head_dim}, head_dim, Sums{units, factors, sums, head_dim});
  }

 private:
  using Dots = typename Codes::CodeDots;
  using Matrices = typename Dots::Matrices;
  using Products = typename Matrices::Products;
  static constexpr uint32_t kLanes = Codes::kLanes;
  static constexpr uint32_t kRows = Matrices::kRows;

  // Digits of rows, and of outputs of which `width` lie together.
  struct Operands {
    const uint8_t* rows;
    uint32_t depth;
    const uint8_t* columns;
    uint32_t width;

    // Of the kDepth from d on; digits of all outputs that lie together follow each other.
    const uint8_t* columns_from(uint32_t d, uint32_t output) const noexcept {
      const uint32_t together = output / width * width;
      return columns + (size_t{together} * depth + size_t{d} * width) * sizeof(Code) +
             4 * (output - together);
    }
  };

  // Where products go to, of the rows and outputs from these on.
  template <typename Row>
  struct Scores {
    const Row* rows;
    const float* scales;
    float* scores;

    Scores from(uint32_t row, uint32_t key) const noexcept {
      return {rows + row, scales + key, scores + size_t{row} * kKeyStep + key};
    }
    void put(const Products& products, uint32_t row) const noexcept {
      const auto dot = Dots::to_float(Matrices::sum_of(products, row));
      Codes::put_scores(rows[row], dot, scales, scores + row * kKeyStep);
    }
  };
  struct Sums {
    const float* units;
    const float* factors;
    float* sums;
    uint32_t head_dim;

    Sums from(uint32_t row, uint32_t d) const noexcept {
      return {units + row, factors + row, sums + size_t{row} * head_dim + d, head_dim};
    }
    void put(const Products& products, uint32_t row) const noexcept {
      Codes::add_scaled(Matrices::sum_of(products, row), units[row], factors[row],
                        sums + size_t{row} * head_dim);
    }
  };

  // The last kDepth of a product, and beside it what the one before came to, if there is any.
  template <uint32_t kPart = 0, typename Out>
  [[gnu::always_inline]] static void finish(const uint8_t* columns, uint32_t width, Products& products,
                                            bool has_before, const Products& before,
                                            const Out& out_before) noexcept {
    if constexpr (kPart < Matrices::kParts) {
      constexpr uint32_t kSome = kRows / Matrices::kParts;
      Matrices::template part<kPart>(columns, width, products);
      if (has_before) {
        for (uint32_t i = 0; i < kSome; ++i) out_before.put(before, kPart * kSome + i);
      }
      finish<kPart + 1>(columns, width, products, has_before, before, out_before);
    }
  }

  // Puts the products of `rows` rows and all outputs, kRows of them at a time; where fewer are left, of as
  // many all the same.
  template <typename Out>
  [[gnu::always_inline]] static void multiply(uint32_t rows, const Operands& operands, uint32_t outputs,
                                              const Out& out) noexcept {
    Products products[2];
    uint32_t next = 0;
    Out out_before = out;
    const uint32_t depth = operands.depth;
    const uint32_t last = depth - Matrices::kDepth;
    for (uint32_t row = 0; row < rows; row += kRows) {
      const uint8_t* digits = operands.rows + row * Codes::query_bytes(depth);
      if (last == 0) Matrices::load_rows(digits, 0, depth);
      for (uint32_t output = 0; output < outputs; output += kLanes) {
        const auto columns = [&](uint32_t d) { return operands.columns_from(d, output); };
        Matrices::clear();
        for (uint32_t d = 0; d < last; d += Matrices::kDepth) {
          Matrices::load_rows(digits, d, depth);
          Matrices::add(columns(d), operands.width);
        }
        if (last > 0) Matrices::load_rows(digits, last, depth);
        const bool has_before = row > 0 || output > 0;
        finish(columns(last), operands.width, products[next], has_before, products[1 - next], out_before);
        out_before = out.from(row, output);
        next = 1 - next;
      }
    }
    for (uint32_t i = 0; i < kRows; ++i) out_before.put(products[1 - next], i);
  }
};

}  // namespace stonechat
