// The schemes with one scale a row or a tensor, and Q4_0: errors against closed forms.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "base/error.h"
#include "gguf/writer.h"
#include "quant/block_formats.h"
#include "quant/decode.h"
#include "quant/encode.h"
#include "quant/schemes.h"
#include "quant/tensor_scale.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using gguf::TensorType;
using testing::HasSubstr;

constexpr uint64_t kCols = 1024;

// A file of one F32 matrix, (values / kCols, kCols).
class MatrixFile {
 public:
  explicit MatrixFile(const std::vector<float>& values)
      : path_(directory_.file("matrix.gguf")),
        file_(write(path_, values)),
        stream_(file_, file_.tensors()[0]) {}

  TensorScale scale(TensorType type, double range = 0, uint32_t threads = 2) const {
    ThreadPool pool(threads);
    uint64_t rows_read = 0;
    const TensorScale result =
        tensor_scale(type, range, stream_, pool, [&](uint64_t rows) { rows_read += rows; });
    EXPECT_EQ(rows_read, tensor_scale_passes(type, range) * file_.tensors()[0].rows());
    return result;
  }

 private:
  static const std::string& write(const std::string& path, const std::vector<float>& values) {
    gguf::Writer writer(path, gguf::Metadata(), {{"w", TensorType::kF32, {kCols, values.size() / kCols}}});
    writer.write_tensor_data(std::as_bytes(std::span(values)));
    writer.finish();
    return path;
  }

  TemporaryDirectory directory_;
  std::string path_;
  gguf::Reader file_;
  TensorStream stream_;
};

std::vector<float> round_trip(const RowScale& scale, std::span<const float> values) {
  std::vector<std::byte> bytes(gguf::row_bytes(TensorType::kQ8_T, values.size()));
  encode_row(scale, values, bytes.data());
  std::vector<float> out(values.size());
  decode(TensorType::kQ8_T, bytes.data(), values.size(), out.data());
  return out;
}

double mean_square_error(const RowScale& scale, std::span<const float> values) {
  const std::vector<float> out = round_trip(scale, values);
  double sum = 0;
  for (size_t i = 0; i < out.size(); ++i) sum += std::pow(double{out[i]} - values[i], 2);
  return sum / static_cast<double>(out.size());
}

std::vector<float> uniform(size_t count, float limit) {
  std::mt19937_64 random(11);
  std::vector<float> values(count);
  // Without std::uniform_real_distribution, which differs by library.
  for (float& value : values) value = limit * (static_cast<float>(random() >> 40) * 0x1p-23F - 1.0F);
  values[7] = limit;
  return values;
}

// Mean 0.1, deviation 1: by the polar method of Marsaglia.
std::vector<float> normal(size_t count) {
  std::mt19937_64 random(12);
  std::vector<float> values;
  while (values.size() < count) {
    const double x = static_cast<double>(random() >> 11) * 0x1p-52 - 1;
    const double y = static_cast<double>(random() >> 11) * 0x1p-52 - 1;
    const double square = x * x + y * y;
    if (square >= 1 || square == 0) continue;
    values.push_back(static_cast<float>(0.1 + x * std::sqrt(-2 * std::log(square) / square)));
  }
  return values;
}

// Rounding spreads evenly over +-step / 2: mean square step^2 / 12, fourth power step^4 / 80, so the mean of
// `count` squares has a deviation of step^2 / sqrt(180 count). Five of them.
TEST(Q8_T, RoundingErrorIsThatOfUniformRounding) {
  const std::vector<float> values = uniform(1 << 16, 3.0F);
  const RowScale scale = MatrixFile(values).scale(TensorType::kQ8_T).scale;
  EXPECT_DOUBLE_EQ(scale.step, 3.0 / 127);
  EXPECT_EQ(scale.mean, 0.0F);
  const double step = scale.step;
  const double tolerance = 5 * step * step / std::sqrt(180.0 * static_cast<double>(values.size()));
  EXPECT_NEAR(mean_square_error(scale, values), step * step / 12, tolerance);
}

TEST(Q8_T, CodesAreThoseOfTheFormula) {
  const std::vector<float> values = uniform(kCols, 0.37F);
  const double s = 127 / double{0.37F};
  std::vector<std::byte> bytes(gguf::row_bytes(TensorType::kQ8_T, kCols));
  encode_row(MatrixFile(values).scale(TensorType::kQ8_T).scale, values, bytes.data());
  RowHeaderQ8 header;
  std::memcpy(&header, bytes.data(), sizeof header);
  EXPECT_EQ(header.scale, static_cast<float>(1 / s));
  EXPECT_EQ(header.mean, 0.0F);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto code = static_cast<int8_t>(bytes[sizeof header + i]);
    EXPECT_EQ(code, static_cast<int8_t>(std::lround(double{values[i]} * s))) << values[i];
  }
}

TEST(Q8_R, EveryRowHasItsOwnStep) {
  std::vector<float> values = uniform(4 * kCols, 2.0F);
  for (size_t i = 0; i < kCols; ++i) values[kCols + i] *= 1e-3F;
  std::vector<std::byte> bytes(gguf::row_bytes(TensorType::kQ8_R, kCols));
  for (size_t row = 0; row < 4; ++row) {
    const std::span<const float> one = std::span(values).subspan(row * kCols, kCols);
    float largest = 0;
    for (const float value : one) largest = std::max(largest, std::fabs(value));
    encode(TensorType::kQ8_R, one.data(), kCols, bytes.data());
    std::vector<float> out(kCols);
    decode(TensorType::kQ8_R, bytes.data(), kCols, out.data());
    for (size_t i = 0; i < kCols; ++i)
      EXPECT_LE(std::fabs(out[i] - one[i]), largest / 127 * (0.5 + 127 * 0x1p-23)) << row << ' ' << i;
  }
}

// E (|x| - K)^2 of what lies beyond K deviations of a normal distribution, and the same to the fourth.
double tail_square(double k) {
  const double density = std::exp(-k * k / 2) / std::sqrt(2 * M_PI);
  const double tail = std::erfc(k / M_SQRT2) / 2;
  return 2 * ((1 + k * k) * tail - k * density);
}
double tail_fourth(double k) {
  const double density = std::exp(-k * k / 2) / std::sqrt(2 * M_PI);
  const double tail = std::erfc(k / M_SQRT2) / 2;
  return 2 * ((k * k * k * k + 6 * k * k + 3) * tail - (k * k * k + 5 * k) * density);
}

// The clipping loss of the integral, and uniform rounding within. The mean of `count` such squares deviates
// by sqrt(their fourth power's mean / count); and the sample's deviation, by 1 / sqrt(2 count), moves the
// range, along which the loss falls by less than 2 E(|x| - K) < 1 a deviation. Five of both.
TEST(Q8_M, ErrorIsThatOfClippingANormalDistribution) {
  const std::vector<float> values = normal(1 << 20);
  const MatrixFile file(values);
  const auto count = static_cast<double>(values.size());
  for (const double range : {1.0, 2.0, 3.0}) {
    const TensorScale found = file.scale(TensorType::kQ8_M, range);
    EXPECT_EQ(found.deviations, range);
    EXPECT_NEAR(found.scale.mean, 0.1, 5 / std::sqrt(count));
    EXPECT_NEAR(found.scale.step, range / 127, 5 * range / 127 / std::sqrt(2 * count));
    const double step = range / 127;
    const double expected = tail_square(range) + std::erf(range / M_SQRT2) * step * step / 12;
    const double tolerance = 5 * (std::sqrt((tail_fourth(range) + std::pow(step, 4) / 180) / count) +
                                  std::sqrt(tail_square(range)) / std::sqrt(2 * count));
    EXPECT_NEAR(mean_square_error(found.scale, values), expected, tolerance) << range;
  }
  // One deviation, as printed, loses 15 % of the energy; 3 deviations nearly nothing.
  EXPECT_NEAR(tail_square(1), 0.1507, 1e-4);
}

TEST(Q8_M, BestRangeLosesLeast) {
  std::vector<float> normal_values = normal(1 << 15);
  std::vector<float> heavy = normal_values;
  for (float& value : heavy) value = value * value * value;  // long tails
  std::vector<float> two_points(1 << 15);
  for (size_t i = 0; i < two_points.size(); ++i) two_points[i] = i % 2 == 0 ? 0.5F : -0.25F;
  for (const auto& values : {normal_values, heavy, uniform(1 << 15, 1.0F), two_points}) {
    const MatrixFile file(values);
    const TensorScale best = file.scale(TensorType::kQ8_M);
    const double error = mean_square_error(best.scale, values);
    const double deviation = best.scale.step * 127 / best.deviations;
    for (double range = 0.5; range < 12; range += 0.1) {
      const RowScale other{range * deviation / 127, best.scale.mean};
      // Bins and uniform rounding are approximations: within 2 %, and half of one step's square.
      EXPECT_LE(error, 1.02 * mean_square_error(other, values) + std::pow(best.scale.step, 2) / 2) << range;
    }
  }
}

TEST(TensorScale, SumsDoNotDependOnThreads) {
  std::vector<float> values = normal(3 * (1 << 20) + 7 * kCols);  // pieces and chunks that aren't full
  for (size_t i = 0; i < values.size(); ++i) values[i] = values[i] * 1e-3F + 50.0F;  // mean >> deviation
  const MatrixFile file(values);
  long double sum = 0;
  for (const float value : values) sum += value;
  const long double mean = sum / static_cast<long double>(values.size());
  long double squares = 0;
  for (const float value : values) squares += (value - mean) * (value - mean);
  const auto deviation = static_cast<double>(std::sqrt(squares / static_cast<long double>(values.size())));
  const TensorScale one = file.scale(TensorType::kQ8_M, 0, 1);
  EXPECT_EQ(one.scale.mean, static_cast<float>(mean));
  EXPECT_NEAR(one.scale.step * 127 / one.deviations, deviation, 1e-9 * deviation);
  for (const uint32_t threads : {2U, 3U}) {
    const TensorScale more = file.scale(TensorType::kQ8_M, 0, threads);
    EXPECT_EQ(more.scale.step, one.scale.step);
    EXPECT_EQ(more.scale.mean, one.scale.mean);
    EXPECT_EQ(more.deviations, one.deviations);
  }
}

TEST(TensorScale, EqualValuesAreTheirMean) {
  for (const float value : {0.0F, 0.3F, -1e34F, 1e-44F}) {
    const std::vector<float> values(64 * kCols, value);
    const MatrixFile file(values);
    for (const double range : {0.0, 1.0}) {
      const TensorScale found = file.scale(TensorType::kQ8_M, range);
      EXPECT_EQ(found.scale.step, 0);
      EXPECT_EQ(round_trip(found.scale, values), values);
    }
  }
  const std::vector<float> zeros(kCols, 0.0F);
  EXPECT_EQ(round_trip(MatrixFile(zeros).scale(TensorType::kQ8_T).scale, zeros), zeros);
  EXPECT_EQ(round_trip(largest_scale(zeros), zeros), zeros);
}

TEST(TensorScale, ExtremesStayFinite) {
  std::vector<float> values(kCols, 1e-45F);
  values[1] = 9.9e34F;
  values[2] = -9.9e34F;
  const MatrixFile file(values);
  for (const RowScale& scale : {file.scale(TensorType::kQ8_T).scale, file.scale(TensorType::kQ8_M).scale,
                                file.scale(TensorType::kQ8_M, 100).scale,
                                file.scale(TensorType::kQ8_M, 0.01).scale, largest_scale(values)}) {
    for (const float value : round_trip(scale, values)) EXPECT_TRUE(std::isfinite(value));
  }
  const std::vector<float> tiny(kCols, 3e-45F);
  for (const float value : round_trip(largest_scale(tiny), tiny)) EXPECT_LE(std::fabs(value), 3e-45F);
}

TEST(TensorScale, WhatIsNotFiniteIsNamed) {
  std::vector<float> values(64 * kCols, 1.0F);
  values[40 * kCols] = INFINITY;
  const MatrixFile file(values);
  try {
    file.scale(TensorType::kQ8_T);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("tensor w: expected finite values, found inf"));
  }
}

TEST(Q4_0, RoundTripIsWithinAStep) {
  const std::vector<float> values = uniform(1 << 12, 1.0F);
  std::vector<std::byte> bytes(gguf::row_bytes(TensorType::kQ4_0, values.size()));
  encode(TensorType::kQ4_0, values.data(), values.size(), bytes.data());
  std::vector<float> out(values.size());
  decode(TensorType::kQ4_0, bytes.data(), values.size(), out.data());
  for (size_t block = 0; block < values.size(); block += 32) {
    float largest = 0;
    for (size_t i = block; i < block + 32; ++i) largest = std::max(largest, std::fabs(values[i]));
    // Half a step, a whole one at the end that has no code; up to 8 codes of a scale rounded to binary16.
    const double step = largest / 8;
    for (size_t i = block; i < block + 32; ++i)
      EXPECT_LE(std::fabs(out[i] - values[i]), step * (1 + 8 * 0x1p-11)) << i;
  }
}

TEST(Q4_0, TinyValuesAreZero) {
  for (const float value : {0.0F, 1e-38F, -1e-44F}) {
    const std::vector<float> values(32, value);
    std::vector<std::byte> bytes(18);
    encode(TensorType::kQ4_0, values.data(), 32, bytes.data());
    std::vector<float> out(32);
    decode(TensorType::kQ4_0, bytes.data(), 32, out.data());
    for (const float zero : out) EXPECT_EQ(zero, 0.0F);
  }
}

TEST(Schemes, AreFoundByNameAndType) {
  for (const Scheme& scheme : schemes()) {
    EXPECT_EQ(find_scheme(scheme.name), &scheme);
    EXPECT_EQ(find_scheme(scheme.type), &scheme);
  }
  EXPECT_EQ(find_scheme("q9"), nullptr);
  EXPECT_EQ(find_scheme(TensorType::kF32), nullptr);
  EXPECT_DOUBLE_EQ(bytes_a_weight(*find_scheme("q8_r"), 896), 904.0 / 896);
  EXPECT_DOUBLE_EQ(bytes_a_weight(*find_scheme("q4_0"), 896), 0.5625);
}

}  // namespace
}  // namespace stonechat
