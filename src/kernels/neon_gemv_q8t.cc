// Algorithm 1 of the paper that this project started from: FP32 vector times an int8 matrix with one scale.
//
// As the paper describes it: 8 rows by 4 columns at a time in registers, one accumulator of four columns a
// row, loads of the next columns between the arithmetic on these, the tensor's scale in a register until the
// end. Its listing gives vmlal_s16 a float operand, which no instruction takes: that one multiplies 16-bit
// integers. What it must mean is done here: codes are widened to 16 and 32 bits and converted, then FMLA
// multiplies floats.
#include "kernels/neon_common.h"

namespace stonechat::neon {
namespace {

constexpr uint32_t kRows = 8;
constexpr uint32_t kPairs = kRows / 2;

// Codes of four columns of two rows.
int8x8_t load_pair(const int8_t* first, const int8_t* second) {
  int32_t fours[2];
  memcpy(&fours[0], first, sizeof fours[0]);
  memcpy(&fours[1], second, sizeof fours[1]);
  return vreinterpret_s8_s32(vset_lane_s32(fours[1], vdup_n_s32(fours[0]), 1));
}

// Four columns of a pair of rows.
[[gnu::always_inline]] inline void add_pair(int16x8_t wide, float32x4_t x, float32x4_t* sums) {
  sums[0] = vfmaq_f32(sums[0], vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide))), x);
  sums[1] = vfmaq_f32(sums[1], vcvtq_f32_s32(vmovl_high_s16(wide)), x);
}

// The last columns, fewer than four, with zeros behind them: those change no sum, as none is ever -0.
void add_rest(const int8_t* const (&rows)[kRows], const float* x, uint32_t first_col, uint32_t cols,
              float32x4_t (&sums)[kRows]) {
  float values[kLanes] = {};
  int8_t codes[kRows][kLanes] = {};
  memcpy(values, x + first_col, (cols - first_col) * sizeof(float));
  for (uint32_t row = 0; row < kRows; ++row) memcpy(codes[row], rows[row] + first_col, cols - first_col);
  for (uint32_t pair = 0; pair < kPairs; ++pair) {
    const int8x8_t four = load_pair(codes[2 * pair], codes[2 * pair + 1]);
    add_pair(vmovl_s8(four), vld1q_f32(values), sums + size_t{2} * pair);
  }
}

// y of 8 rows.
void multiply_rows(const int8_t* const (&rows)[kRows], const float* x, uint32_t cols, float scale, float* y) {
  float32x4_t sums[kRows];
#pragma GCC unroll 8
  for (uint32_t row = 0; row < kRows; ++row) sums[row] = vdupq_n_f32(0);
  const uint32_t whole_cols = cols / kLanes * kLanes;
  if (whole_cols > 0) {
    int8x8_t codes[kPairs];
#pragma GCC unroll 4
    for (uint32_t pair = 0; pair < kPairs; ++pair)
      codes[pair] = load_pair(rows[2 * pair], rows[2 * pair + 1]);
    uint32_t col = 0;
    for (; col + kLanes < whole_cols; col += kLanes) {
      const float32x4_t four = vld1q_f32(x + col);
#pragma GCC unroll 4
      for (uint32_t pair = 0; pair < kPairs; ++pair) {
        const int16x8_t wide = vmovl_s8(codes[pair]);
        codes[pair] = load_pair(rows[2 * pair] + col + kLanes, rows[2 * pair + 1] + col + kLanes);
        add_pair(wide, four, sums + size_t{2} * pair);
      }
    }
    const float32x4_t four = vld1q_f32(x + col);
#pragma GCC unroll 4
    for (uint32_t pair = 0; pair < kPairs; ++pair)
      add_pair(vmovl_s8(codes[pair]), four, sums + size_t{2} * pair);
  }
  if (whole_cols < cols) add_rest(rows, x, whole_cols, cols, sums);
  const float32x4_t scales = vdupq_n_f32(scale);
#pragma GCC unroll 2
  for (uint32_t half = 0; half < kRows; half += kLanes) {
    const float32x4_t first = vpaddq_f32(sums[half], sums[half + 1]);
    const float32x4_t second = vpaddq_f32(sums[half + 2], sums[half + 3]);
    vst1q_f32(y + half, vmulq_f32(vpaddq_f32(first, second), scales));
  }
}

void gemv_f32_f32_q8t(const TensorScaleJob* job) noexcept {
  for (uint32_t row = job->first_row; row < job->end_row; row += kRows) {
    const uint32_t count = job->end_row - row < kRows ? job->end_row - row : kRows;
    const int8_t* rows[kRows];
    // Where rows are missing the last one stands in; what comes out of it isn't stored.
    for (uint32_t i = 0; i < kRows; ++i) {
      rows[i] = job->codes + size_t{row + (i < count ? i : count - 1)} * job->cols;
    }
    if (count == kRows) {
      multiply_rows(rows, job->x, job->cols, job->scale, job->y + row);
    } else {
      float y[kRows];
      multiply_rows(rows, job->x, job->cols, job->scale, y);
      memcpy(job->y + row, y, count * sizeof(float));
    }
  }
}

}  // namespace

constinit const TensorScaleKernels kTensorScale = {gemv_f32_f32_q8t};

}  // namespace stonechat::neon
