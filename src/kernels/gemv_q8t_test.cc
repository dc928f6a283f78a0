// The product with an int8 matrix of one scale, of every table, against loops that share no code with it.
//
// kernel_table.h states each rounding, so the first oracle is exact: all tables must give its bits. That the
// statement means a product is checked against sums in double.
#include <cmath>
#include <functional>

#include "kernels/test_support.h"

namespace stonechat {
namespace {

struct ScaledMatrix {
  uint32_t rows;
  uint32_t cols;
  std::vector<int8_t> codes;
  std::vector<float> x;
  float scale;
};

ScaledMatrix make_scaled_matrix(uint32_t rows, uint32_t cols, Random& random) {
  ScaledMatrix problem{rows, cols, std::vector<int8_t>(size_t{rows} * cols), random.floats(cols, 3.0F),
                       random.uniform(1e-4F, 0.05F)};
  for (int8_t& code : problem.codes) code = static_cast<int8_t>(random.integer(-127, 127));
  return problem;
}

// As kernel_table.h states it.
float exact_bits(const ScaledMatrix& problem, uint32_t row) {
  float sums[4] = {};
  for (uint32_t col = 0; col < problem.cols; ++col) {
    const auto code = static_cast<float>(problem.codes[size_t{row} * problem.cols + col]);
    sums[col % 4] = std::fma(code, problem.x[col], sums[col % 4]);
  }
  const float low = sums[0] + sums[1];
  const float high = sums[2] + sums[3];
  return (low + high) * problem.scale;
}

class GemvQ8tTest : public testing::TestWithParam<std::string> {
 protected:
  const KernelTable table_ = kernels_up_to(GetParam());

  void run(const ScaledMatrix& problem, uint32_t first_row, uint32_t end_row, std::vector<float>& y) {
    const TensorScaleJob job = {problem.codes.data(), problem.scale, problem.x.data(), y.data(),
                                problem.cols,         first_row,     end_row};
    call_cleanly(table_.tensor_scale->gemv_f32_f32_q8t, &job);
  }

  void check(const ScaledMatrix& problem) {
    SCOPED_TRACE(testing::Message() << problem.rows << " x " << problem.cols);
    std::vector<float> y(problem.rows, NAN);
    run(problem, 0, problem.rows, y);
    for (uint32_t row = 0; row < problem.rows; ++row) {
      ASSERT_EQ(bits_of(y[row]), bits_of(exact_bits(problem, row))) << "row " << row;
      double product = 0;
      double magnitude = 0;
      for (uint32_t col = 0; col < problem.cols; ++col) {
        const double term =
            double{problem.scale} * problem.codes[size_t{row} * problem.cols + col] * problem.x[col];
        product += term;
        magnitude += std::abs(term);
      }
      // Each term is in at most cols / 4 + 1 fused additions, two additions of partial sums and one
      // multiplication, each of which rounds by at most 2^-24 of a value that is at most `magnitude`.
      ASSERT_NEAR(y[row], product, magnitude * (problem.cols / 4 + 4) * 0x1p-24) << "row " << row;
    }
  }
};

TEST_P(GemvQ8tTest, SmallSizes) {
  Random random(11);
  for (uint32_t rows = 1; rows <= 33; ++rows) {
    for (uint32_t cols = 1; cols <= 33; ++cols) check(make_scaled_matrix(rows, cols, random));
  }
}

TEST_P(GemvQ8tTest, SizesAroundPowersOfTwo) {
  Random random(12);
  for (const uint32_t power : {64U, 128U, 256U, 512U, 1024U}) {
    for (const uint32_t size : {power - 1, power, power + 1}) {
      check(make_scaled_matrix(9, size, random));
      check(make_scaled_matrix(size, 20, random));
    }
  }
}

TEST_P(GemvQ8tTest, ShapesOfTheModels) {
  Random random(13);
  check(make_scaled_matrix(1152, 896, random));
  check(make_scaled_matrix(896, 896, random));
  // Some rows of the larger ones: their number doesn't change what a row does.
  check(make_scaled_matrix(40, 4864, random));
  check(make_scaled_matrix(40, 576, random));
  check(make_scaled_matrix(40, 1536, random));
}

TEST_P(GemvQ8tTest, ZeroAndExtremeCodes) {
  Random random(14);
  const std::function<int(uint32_t)> fills[] = {
      [](uint32_t) { return 0; }, [](uint32_t) { return 127; }, [](uint32_t) { return -127; },
      [](uint32_t i) { return i % 2 == 0 ? 127 : -127; }, [](uint32_t) { return -128; }};
  for (const auto& fill : fills) {
    for (const uint32_t cols : {30U, 896U}) {
      ScaledMatrix problem = make_scaled_matrix(17, cols, random);
      for (uint32_t i = 0; i < problem.codes.size(); ++i) problem.codes[i] = static_cast<int8_t>(fill(i));
      check(problem);
    }
  }
}

TEST_P(GemvQ8tTest, ZeroActivations) {
  Random random(15);
  ScaledMatrix problem = make_scaled_matrix(19, 130, random);
  for (size_t i = 0; i < problem.x.size(); ++i) problem.x[i] = i % 2 == 0 ? 0.0F : -0.0F;
  check(problem);
}

// A job writes its rows and no others, and gives the same bits as the whole.
TEST_P(GemvQ8tTest, RowsInPieces) {
  Random random(16);
  const ScaledMatrix problem = make_scaled_matrix(45, 61, random);
  std::vector<float> whole(problem.rows);
  run(problem, 0, problem.rows, whole);
  for (const uint32_t step : {1U, 7U, 8U, 19U}) {
    std::vector<float> pieces(problem.rows, NAN);
    for (uint32_t row = 0; row < problem.rows; row += step) {
      const uint32_t end = std::min(problem.rows, row + step);
      run(problem, row, end, pieces);
      for (uint32_t i = end; i < problem.rows; ++i) ASSERT_TRUE(std::isnan(pieces[i])) << i;
    }
    for (uint32_t i = 0; i < problem.rows; ++i) ASSERT_EQ(bits_of(pieces[i]), bits_of(whole[i])) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, GemvQ8tTest, testing::ValuesIn(supported_tables()), table_test_name);

}  // namespace
}  // namespace stonechat
