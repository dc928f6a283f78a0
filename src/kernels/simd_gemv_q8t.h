// int8 matrix with one scale times FP32 vector, for any width of vectors: TensorScaleKernels.
//
// A vector holds four columns of kLanes / 4 rows, so that each row has its four partial sums. `Simd` as in
// simd_attention.h; `Codes` gives, for its rows of a vector:
//   widen(rows, col, out[4])   columns col .. col + 15 as floats: four vectors of four columns
//   broadcast_four(x)          x[0 .. 3] for each row
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/kernel_table.h"

namespace stonechat {

template <typename Simd, typename Codes>
class SimdGemvQ8t {
 public:
  static void gemv_f32_f32_q8t(const TensorScaleJob* job) noexcept {
    for (uint32_t row = job->first_row; row < job->end_row; row += kRows) {
      const uint32_t count = job->end_row - row < kRows ? job->end_row - row : kRows;
      const int8_t* rows[kRows];
      // Where rows are missing the last one stands in; what comes out of it isn't stored.
      for (uint32_t i = 0; i < kRows; ++i) {
        rows[i] = job->codes + size_t{row + (i < count ? i : count - 1)} * job->cols;
      }
      float sums[kRows * kColumns];
      sum_rows(rows, job->x, job->cols, sums);
      for (uint32_t i = 0; i < count; ++i) {
        const float* four = sums + size_t{i} * kColumns;
        job->y[row + i] = ((four[0] + four[1]) + (four[2] + four[3])) * job->scale;
      }
    }
  }

 private:
  using Vector = typename Simd::Vector;
  static constexpr uint32_t kColumns = 4;  // of a vector
  static constexpr uint32_t kVectorRows = Simd::kLanes / kColumns;
  static constexpr uint32_t kVectors = 16 / kVectorRows;
  static constexpr uint32_t kRows = kVectors * kVectorRows;
  static constexpr uint32_t kStep = 4 * kColumns;  // columns read at once

  static void add_step(const int8_t* const (&rows)[kRows], uint32_t col, const float* x,
                       Vector (&sum)[kVectors]) {
    Vector values[4];
    for (uint32_t i = 0; i < 4; ++i) values[i] = Codes::broadcast_four(x + i * kColumns);
    for (uint32_t v = 0; v < kVectors; ++v) {
      Vector codes[4];
      Codes::widen(rows + size_t{v} * kVectorRows, col, codes);
      for (uint32_t i = 0; i < 4; ++i) sum[v] = Simd::fma(codes[i], values[i], sum[v]);
    }
  }

  // sums[row * 4 + i]: the partial sums of each row.
  static void sum_rows(const int8_t* const (&rows)[kRows], const float* x, uint32_t cols, float* sums) {
    Vector sum[kVectors];
    for (uint32_t v = 0; v < kVectors; ++v) sum[v] = Simd::broadcast(0);
    uint32_t col = 0;
    for (; col + kStep <= cols; col += kStep) add_step(rows, col, x + col, sum);
    if (col < cols) {
      // The rest with zeros behind it: those change no sum, as none is ever -0.
      float values[kStep] = {};
      int8_t codes[kRows][kStep] = {};
      const int8_t* padded[kRows];
      memcpy(values, x + col, (cols - col) * sizeof(float));
      for (uint32_t row = 0; row < kRows; ++row) {
        memcpy(codes[row], rows[row] + col, cols - col);
        padded[row] = codes[row];
      }
      add_step(padded, 0, values, sum);
    }
    for (uint32_t v = 0; v < kVectors; ++v) Simd::store(sums + size_t{v} * Simd::kLanes, sum[v]);
  }
};

}  // namespace stonechat
