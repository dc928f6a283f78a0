// Products of every table against naive loops that share no code with the kernels.
//
// kernel_table.h states each rounding, so the oracle below is exact: all tables must give its bits. That the
// statement itself means a matrix product is checked against sums in double.
#include <cmath>

#include "base/half.h"
#include "kernels/test_support.h"

namespace stonechat {
namespace {

// Weights as a file stores them, and as the numbers that they mean.
struct Matrix {
  WeightFormat format;
  uint32_t rows;
  uint32_t cols;
  std::vector<uint8_t> stored;
  std::vector<float> values;  // F32, F16, BF16: (rows, cols)
  std::vector<int> codes;     // other formats: (rows, cols)
  std::vector<float> scales;  // Q8_0, Q4_0: (rows, cols / 32); Q8Row: (rows)
  std::vector<float> means;   // Q8Row: (rows)

  bool has_codes() const { return !codes.empty(); }
  // As unpack_row states it.
  float weight(size_t row, size_t col) const {
    if (!has_codes()) return values[row * cols + col];
    const auto code = static_cast<float>(codes[row * cols + col]);
    return format == kWeightQ8Row ? means[row] + scales[row] * code
                                  : scales[row * (cols / 32) + col / 32] * code;
  }
  // What the magnitude of weight(row, col) and of all that it is made of can't exceed.
  double magnitude(size_t row, size_t col) const {
    const double whole = std::abs(double{weight(row, col)});
    return format == kWeightQ8Row ? whole + 2 * std::abs(double{means[row]}) : whole;
  }
};

enum class Fill { kRandom, kZero, kExtreme };

void append(std::vector<uint8_t>& bytes, const void* data, size_t count) {
  const auto* begin = static_cast<const uint8_t*>(data);
  bytes.insert(bytes.end(), begin, begin + count);
}

// 32 codes as a file has them.
void append_block(Matrix& matrix, Fill fill, Random& random) {
  const int lowest = matrix.format == kWeightQ4_0 ? -8 : -128;
  if (matrix.format != kWeightQ8Row) {
    const float sign = random.integer(0, 1) == 0 ? -1.0F : 1.0F;
    const uint16_t d = float_to_half(fill == Fill::kZero ? 0.0F : sign * random.uniform(1e-4F, 0.05F));
    matrix.scales.push_back(half_to_float(d));
    append(matrix.stored, &d, 2);
  }
  int codes[32] = {};
  for (int& code : codes) {
    if (fill == Fill::kRandom) code = random.integer(lowest, -lowest - 1);
    if (fill == Fill::kExtreme) code = random.integer(0, 1) == 0 ? lowest : -lowest - 1;
    matrix.codes.push_back(code);
  }
  uint8_t bytes[32];
  const uint32_t count = matrix.format == kWeightQ4_0 ? 16 : 32;
  for (uint32_t i = 0; i < count; ++i) {
    bytes[i] = static_cast<uint8_t>(matrix.format == kWeightQ4_0 ? (codes[i] + 8) | (codes[i + 16] + 8) << 4
                                                                 : codes[i]);
  }
  append(matrix.stored, bytes, count);
}

// A scale and a mean, which every third row lacks, and whole tiles.
void append_header(Matrix& matrix, uint32_t row, Fill fill, Random& random) {
  const float size = fill == Fill::kExtreme ? 1e6F : 1.0F;
  const float scale = fill == Fill::kZero ? 0.0F : size * random.uniform(-0.05F, 0.05F);
  const float mean =
      fill == Fill::kZero || row % 3 == 0 || row / 32 == 1 ? 0.0F : size * random.uniform(-0.5F, 0.5F);
  matrix.scales.push_back(scale);
  matrix.means.push_back(mean);
  append(matrix.stored, &scale, 4);
  append(matrix.stored, &mean, 4);
}

Matrix make_matrix(WeightFormat format, uint32_t rows, uint32_t cols, Fill fill, Random& random) {
  Matrix matrix{format, rows, cols, {}, {}, {}, {}, {}};
  for (uint32_t row = 0; row < rows; ++row) {
    if (format == kWeightQ8Row) append_header(matrix, row, fill, random);
    if (format >= kWeightQ8_0) {
      for (uint32_t col = 0; col < cols; col += 32) append_block(matrix, fill, random);
      continue;
    }
    for (uint32_t col = 0; col < cols; ++col) {
      float value = fill == Fill::kZero ? 0.0F : random.uniform(-1.0F, 1.0F);
      if (fill == Fill::kExtreme) value *= 1e4F;
      if (format == kWeightF32) {
        append(matrix.stored, &value, 4);
      } else {
        const uint16_t bits = format == kWeightF16 ? float_to_half(value) : float_to_bfloat(value);
        append(matrix.stored, &bits, 2);
        value = format == kWeightF16 ? half_to_float(bits) : bfloat_to_float(bits);
      }
      matrix.values.push_back(value);
    }
  }
  return matrix;
}

AlignedBuffer pack(const LinearKernels& linear, const Matrix& matrix) {
  const size_t tile_bytes = linear.tile_bytes(matrix.cols);
  const size_t row_bytes = matrix.stored.size() / matrix.rows;
  const uint32_t tiles = (matrix.rows + linear.tile_rows - 1) / linear.tile_rows;
  EXPECT_EQ(tile_bytes % 64, 0U);
  AlignedBuffer buffer(tiles * tile_bytes);
  for (uint32_t tile = 0; tile < tiles; ++tile) {
    const uint32_t first = tile * linear.tile_rows;
    linear.pack_tile(matrix.stored.data() + first * row_bytes,
                     std::min(linear.tile_rows, matrix.rows - first), matrix.cols,
                     buffer.data() + tile * tile_bytes);
  }
  return buffer;
}

// The activations of one token, as they are and as codes.
struct Activations {
  const float* x;
  std::vector<int> codes;
  std::vector<float> scales;  // one a block
  float sum = 0;              // xs of kernel_table.h

  Activations(const float* values, uint32_t cols) : x(values), codes(cols), scales(cols / 32) {
    for (uint32_t block = 0; block < cols / 32; ++block) {
      float largest = 0;
      for (uint32_t i = 0; i < 32; ++i) largest = std::max(largest, std::abs(x[block * 32 + i]));
      if (largest <= 1e-30F) continue;
      const float inverse = 127.0F / largest;
      long code_sum = 0;
      for (uint32_t col = block * 32; col < block * 32 + 32; ++col) {
        codes[col] = static_cast<int>(std::lrint(x[col] * inverse));
        code_sum += codes[col];
      }
      scales[block] = largest / 127.0F;
      sum = std::fma(static_cast<float>(code_sum), scales[block], sum);
    }
  }
};

// One output as kernel_table.h states it, before bias.
float expected_output(const Matrix& matrix, uint32_t row, const Activations& token) {
  float sum = 0;
  if (!matrix.has_codes()) {
    for (uint32_t col = 0; col < matrix.cols; ++col)
      sum = std::fma(matrix.values[row * matrix.cols + col], token.x[col], sum);
    return sum;
  }
  const uint32_t blocks = matrix.cols / 32;
  for (uint32_t block = 0; block < blocks; ++block) {
    const int* codes = matrix.codes.data() + row * matrix.cols + block * 32;
    long dot = 0;
    for (uint32_t i = 0; i < 32; ++i) dot += codes[i] * token.codes[block * 32 + i];
    const float d_w = matrix.format == kWeightQ8Row ? 1.0F : matrix.scales[row * blocks + block];
    sum = std::fma(static_cast<float>(dot), d_w * token.scales[block], sum);
  }
  if (matrix.format != kWeightQ8Row) return sum;
  const float scaled = sum * matrix.scales[row];
  return matrix.means[row] == 0 ? scaled : std::fma(matrix.means[row], token.sum, scaled);
}

class LinearTest : public testing::TestWithParam<std::string> {
 protected:
  const KernelTable table_ = kernels_up_to(GetParam());

  // Runs the whole product, or in pieces of a tile each.
  std::vector<float> product(const Matrix& matrix, const std::vector<float>& x, uint32_t tokens,
                             const std::vector<float>& bias, const std::vector<float>& before,
                             bool in_pieces) {
    const LinearKernels& linear = *table_.linear[matrix.format];
    const AlignedBuffer packed = pack(linear, matrix);
    AlignedBuffer prepared(linear.prepared_bytes(tokens, matrix.cols));
    std::vector<float> out = before.empty() ? std::vector<float>(size_t{tokens} * matrix.rows, NAN) : before;
    const uint32_t token_step = in_pieces ? linear.tile_tokens : tokens;
    const uint32_t row_step = in_pieces ? linear.tile_rows : matrix.rows;
    for (uint32_t token = 0; token < tokens; token += token_step) {
      const uint32_t end = std::min(tokens, token + token_step);
      const uint32_t col_step = in_pieces ? 32 : matrix.cols;
      for (uint32_t col = 0; col < matrix.cols; col += col_step) {
        const PrepareJob job = {x.data() + size_t{token} * matrix.cols + col,
                                matrix.cols,
                                matrix.cols,
                                col,
                                col + col_step,
                                token,
                                end,
                                prepared.data()};
        call_cleanly(linear.prepare, &job);
      }
    }
    for (uint32_t token = 0; token < tokens; token += token_step) {
      for (uint32_t row = 0; row < matrix.rows; row += row_step) {
        const LinearJob job = {packed.data(),
                               prepared.data(),
                               matrix.cols,
                               row,
                               std::min(matrix.rows, row + row_step),
                               token,
                               std::min(tokens, token + token_step),
                               bias.empty() ? nullptr : bias.data(),
                               out.data() + size_t{token} * matrix.rows + row,
                               matrix.rows,
                               !before.empty()};
        call_cleanly(linear.multiply, &job);
      }
    }
    return out;
  }

  void check(WeightFormat format, uint32_t rows, uint32_t cols, uint32_t tokens, Fill fill, Random& random) {
    SCOPED_TRACE(testing::Message() << "format " << format << ", " << rows << " x " << cols << ", tokens "
                                    << tokens);
    const Matrix matrix = make_matrix(format, rows, cols, fill, random);
    const std::vector<float> x = random.floats(size_t{tokens} * cols, 3.0F);
    const std::vector<float> out = product(matrix, x, tokens, {}, {}, false);
    for (uint32_t token = 0; token < tokens; ++token) {
      const Activations activations(x.data() + size_t{token} * cols, cols);
      for (uint32_t row = 0; row < rows; ++row) {
        const float expected = expected_output(matrix, row, activations);
        ASSERT_EQ(bits_of(out[size_t{token} * rows + row]), bits_of(expected))
            << "token " << token << ", row " << row << ": " << out[size_t{token} * rows + row] << " for "
            << expected;
      }
    }
  }
};

constexpr WeightFormat kFormats[] = {kWeightF32,  kWeightF16,   kWeightBf16,
                                     kWeightQ8_0, kWeightQ8Row, kWeightQ4_0};
static_assert(std::size(kFormats) == kWeightFormats);

TEST_P(LinearTest, SmallSizes) {
  Random random(1);
  for (const WeightFormat format : kFormats) {
    for (uint32_t rows = 1; rows <= 33; rows += rows < 4 ? 1 : 7) {
      for (uint32_t tokens = 1; tokens <= 33; ++tokens)
        check(format, rows, 64, tokens, Fill::kRandom, random);
    }
  }
}

TEST_P(LinearTest, RowsAndColsAroundPowersOfTwo) {
  Random random(2);
  for (const WeightFormat format : kFormats) {
    for (const uint32_t power : {16U, 32U, 64U, 128U}) {
      for (const uint32_t rows : {power - 1, power, power + 1})
        check(format, rows, 96, 3, Fill::kRandom, random);
    }
    for (const uint32_t blocks : {1U, 31U, 32U, 33U, 63U, 65U})
      check(format, 5, blocks * 32, 14, Fill::kRandom, random);
  }
}

// Tables do more at once for many tokens, and in pieces of columns.
TEST_P(LinearTest, ManyTokens) {
  Random random(9);
  for (const WeightFormat format : kFormats) {
    for (const uint32_t tokens : {47U, 49U, 61U, 97U}) check(format, 37, 352, tokens, Fill::kRandom, random);
  }
}

TEST_P(LinearTest, ShapesOfTheModels) {
  Random random(3);
  for (const WeightFormat format : kFormats) {
    // Some rows of each matrix: their number doesn't change what a tile does.
    for (const uint32_t cols : {576U, 896U, 1536U, 4864U}) {
      check(format, 48, cols, 1, Fill::kRandom, random);
      check(format, 33, cols, 13, Fill::kRandom, random);
    }
    check(format, 16, 896, 200, Fill::kRandom, random);
  }
}

// Tables may read several tiles side by side there.
TEST_P(LinearTest, OneTokenAndAnyNumberOfTiles) {
  Random random(8);
  for (const WeightFormat format : kFormats) {
    const uint32_t tile_rows = table_.linear[format]->tile_rows;
    for (uint32_t tiles = 1; tiles <= 12; ++tiles)
      check(format, tiles * tile_rows - std::min(tiles % 3, tile_rows - 1), 96, 1, Fill::kRandom, random);
  }
}

TEST_P(LinearTest, ZeroAndExtremeWeights) {
  Random random(4);
  for (const WeightFormat format : kFormats) {
    for (const Fill fill : {Fill::kZero, Fill::kExtreme}) {
      check(format, 17, 256, 1, fill, random);
      check(format, 17, 256, 5, fill, random);
    }
  }
}

// All finite numbers of binary16, the small ones first, in all rows of a tile.
TEST_P(LinearTest, EveryHalfCounts) {
  constexpr uint32_t kRows = 16, kFinite = 0x7c00;
  Random random(8);
  Matrix matrix{kWeightF16, kRows, 2 * kFinite, {}, {}, {}, {}, {}};
  for (uint32_t row = 0; row < kRows; ++row) {
    for (uint32_t col = 0; col < matrix.cols; ++col) {
      const auto bits = static_cast<uint16_t>(col % 2 << 15 | col / 2);
      append(matrix.stored, &bits, sizeof bits);
      matrix.values.push_back(half_to_float(bits));
    }
  }
  for (const uint32_t tokens : {1U, 2U}) {
    const std::vector<float> x = random.floats(size_t{tokens} * matrix.cols, 3.0F);
    const std::vector<float> out = product(matrix, x, tokens, {}, {}, false);
    const float expected = expected_output(matrix, 0, Activations(x.data(), matrix.cols));
    for (uint32_t row = 0; row < kRows; ++row)
      EXPECT_EQ(bits_of(out[row]), bits_of(expected)) << "row " << row;
  }
}

TEST_P(LinearTest, ExtremeActivations) {
  Random random(5);
  for (const WeightFormat format : kFormats) {
    const Matrix matrix = make_matrix(format, 18, 128, Fill::kExtreme, random);
    std::vector<float> x(2 * 128);
    for (size_t i = 0; i < x.size(); ++i) {
      // Blocks of one sign, of alternating signs, of zeros with one value, of numbers that count as zero.
      const size_t block = i / 32 % 4;
      x[i] = block == 0   ? 1.0F
             : block == 1 ? (i % 2 == 0 ? -5.0F : 5.0F)
             : block == 2 ? (i % 32 == 9 ? -7.0F : 0.0F)
                          : 1e-31F;
    }
    const std::vector<float> out = product(matrix, x, 2, {}, {}, false);
    const Activations first(x.data(), 128);
    for (uint32_t row = 0; row < 18; ++row) {
      EXPECT_EQ(bits_of(out[row]), bits_of(expected_output(matrix, row, first))) << "format " << format;
    }
  }
}

TEST_P(LinearTest, PiecesBiasAndAddition) {
  Random random(6);
  for (const WeightFormat format : kFormats) {
    for (const uint32_t tokens : {1U, 29U}) {
      const Matrix matrix = make_matrix(format, 70, 320, Fill::kRandom, random);
      const std::vector<float> x = random.floats(size_t{tokens} * 320, 2.0F);
      const std::vector<float> bias = random.floats(70, 1.0F);
      const std::vector<float> before = random.floats(size_t{tokens} * 70, 1.0F);
      const std::vector<float> plain = product(matrix, x, tokens, {}, {}, false);
      const std::vector<float> pieces = product(matrix, x, tokens, {}, {}, true);
      const std::vector<float> biased = product(matrix, x, tokens, bias, {}, true);
      const std::vector<float> added = product(matrix, x, tokens, bias, before, false);
      for (size_t i = 0; i < plain.size(); ++i) {
        ASSERT_EQ(bits_of(pieces[i]), bits_of(plain[i]));
        ASSERT_EQ(bits_of(biased[i]), bits_of(plain[i] + bias[i % 70]));
        ASSERT_EQ(bits_of(added[i]), bits_of(before[i] + (plain[i] + bias[i % 70])));
      }
    }
  }
}

TEST_P(LinearTest, IsTheProductOfMatrices) {
  Random random(7);
  for (const WeightFormat format : kFormats) {
    const Matrix matrix = make_matrix(format, 40, 896, Fill::kRandom, random);
    const std::vector<float> x = random.floats(896, 2.0F);
    const std::vector<float> out = product(matrix, x, 1, {}, {}, false);
    for (uint32_t row = 0; row < 40; ++row) {
      double exact = 0;
      double magnitude = 0;
      double rounding = 0;  // of the activations: half a step each
      for (uint32_t col = 0; col < 896; ++col) {
        const double weight = matrix.weight(row, col);
        exact += weight * x[col];
        magnitude += matrix.magnitude(row, col) * std::abs(x[col]);
        if (matrix.has_codes()) rounding += std::abs(weight) * (2.0 / 127) * 0.5;
      }
      // Each of the 896 additions (fewer where there are codes) and the rounding of each weight are off by at
      // most 2^-24 of a number that is at most `magnitude`.
      EXPECT_NEAR(out[row], exact, magnitude * 896 * 0x1p-24 + rounding)
          << "format " << format << ", row " << row;
    }
  }
}

TEST_P(LinearTest, UnpacksRows) {
  Random random(8);
  for (const WeightFormat format : kFormats) {
    const Matrix matrix = make_matrix(format, 35, 160, Fill::kRandom, random);
    const LinearKernels& linear = *table_.linear[format];
    const AlignedBuffer packed = pack(linear, matrix);
    for (uint32_t row = 0; row < 35; ++row) {
      std::vector<float> out(160);
      linear.unpack_row(packed.data(), row, 160, out.data());
      for (uint32_t col = 0; col < 160; ++col) {
        ASSERT_EQ(out[col], matrix.weight(row, col));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, LinearTest, testing::ValuesIn(supported_tables()), table_test_name);

}  // namespace
}  // namespace stonechat
