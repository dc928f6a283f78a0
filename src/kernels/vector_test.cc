// Row-wise steps of every table: against their definitions in double, and all tables against the scalar one's
// bits.
#include <cmath>

#include "base/half.h"
#include "kernels/test_support.h"

namespace stonechat {
namespace {

class VectorTest : public testing::TestWithParam<std::string> {
 protected:
  const KernelTable table_ = kernels_up_to(GetParam());
  const KernelTable scalar_ = kernels_up_to("scalar");

  static void expect_equal_bits(const std::vector<float>& a, const std::vector<float>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i)
      ASSERT_EQ(bits_of(a[i]), bits_of(b[i])) << "element " << i << ": " << a[i];
  }
};

TEST_P(VectorTest, RmsNorm) {
  Random random(21);
  for (const uint32_t cols : {32U, 64U, 96U, 576U, 896U}) {
    for (const float magnitude : {0.0F, 1e-3F, 1.0F, 1e4F}) {
      const std::vector<float> x = random.floats(cols, magnitude);
      const std::vector<float> weight = random.floats(cols, 2.0F);
      std::vector<float> out(cols), expected(cols);
      call_cleanly(table_.vector->rms_norm, x.data(), weight.data(), 1e-6F, cols, out.data());
      call_cleanly(scalar_.vector->rms_norm, x.data(), weight.data(), 1e-6F, cols, expected.data());
      expect_equal_bits(out, expected);
      double squares = 0;
      for (const float value : x) squares += double{value} * value;
      const double scale = 1.0 / std::sqrt(squares / cols + double{1e-6F});
      // Sum, division, root and two products round some (cols / 16 + 8) times by 2^-24.
      const double tolerance = (cols / 16.0 + 8) * 0x1p-24;
      for (uint32_t i = 0; i < cols; ++i) {
        const double exact = x[i] * scale * weight[i];
        EXPECT_NEAR(out[i], exact, std::abs(exact) * tolerance);
      }
      std::vector<float> in_place = x;
      call_cleanly(table_.vector->rms_norm, in_place.data(), weight.data(), 1e-6F, cols, in_place.data());
      expect_equal_bits(in_place, expected);
    }
  }
}

TEST_P(VectorTest, Hadamard) {
  Random random(27);
  for (const uint32_t head_dim : {32U, 64U, 96U, 128U, 256U}) {
    const std::vector<float> x = random.floats(3 * head_dim, 5.0F);
    std::vector<float> out = x;
    std::vector<float> expected = x;
    call_cleanly(table_.vector->hadamard, out.data(), 3, head_dim);
    call_cleanly(scalar_.vector->hadamard, expected.data(), 3, head_dim);
    expect_equal_bits(out, expected);
    // By its matrix: the sign is the parity of the bits that row and column share.
    const uint32_t run = head_dim == 96 ? 32 : head_dim;
    for (uint32_t i = 0; i < out.size(); ++i) {
      double sum = 0;
      for (uint32_t j = 0; j < run; ++j)
        sum += (__builtin_popcount(i % run & j) % 2 == 0 ? 1 : -1) * double{x[i / run * run + j]};
      EXPECT_NEAR(out[i], sum, 5.0 * run * 8 * 0x1p-24);  // up to 8 additions of numbers up to 5 x run
    }
  }
}

TEST_P(VectorTest, Rope) {
  Random random(22);
  for (const uint32_t head_dim : {32U, 64U, 128U}) {
    const uint32_t half = head_dim / 2;
    std::vector<float> cosine(half), sine(half);
    for (uint32_t i = 0; i < half; ++i) {
      const float angle = random.uniform(-3.0F, 3.0F);
      cosine[i] = std::cos(angle);
      sine[i] = std::sin(angle);
    }
    const std::vector<float> x = random.floats(3 * head_dim, 5.0F);
    std::vector<float> out = x;
    call_cleanly(table_.vector->rope, out.data(), 3, head_dim, cosine.data(), sine.data());
    for (uint32_t head = 0; head < 3; ++head) {
      for (uint32_t i = 0; i < half; ++i) {
        const float a = x[head * head_dim + i];
        const float b = x[head * head_dim + i + half];
        const float product_a = a * cosine[i], product_b = b * sine[i];
        const float product_c = b * cosine[i], product_d = a * sine[i];
        EXPECT_EQ(out[head * head_dim + i], product_a - product_b);
        EXPECT_EQ(out[head * head_dim + i + half], product_c + product_d);
      }
    }
  }
}

TEST_P(VectorTest, SiluMultiply) {
  // The gate goes densely over where exp() is neither 0 nor clamped, and beyond.
  std::vector<float> gate;
  for (float value = -100.0F; value < 100.0F; value += 0.00625F) gate.push_back(value);
  for (const float value : {-1e30F, 1e30F, -0.0F, 0.0F, 1e-30F, -87.0F, 87.0F, -88.0F, 88.0F, 89.0F}) {
    gate.push_back(value);
  }
  while (gate.size() % 32 != 0) gate.push_back(0);
  const auto count = static_cast<uint32_t>(gate.size());
  std::vector<float> gate_up;
  for (uint32_t i = 0; i < count; i += 32) {
    gate_up.insert(gate_up.end(), gate.begin() + i, gate.begin() + i + 32);
    for (uint32_t j = 0; j < 32; ++j) gate_up.push_back(j % 2 == 0 ? 1.0F : -2.0F);
  }
  std::vector<float> out(count), expected(count);
  call_cleanly(table_.vector->silu_multiply, gate_up.data(), count, out.data());
  call_cleanly(scalar_.vector->silu_multiply, gate_up.data(), count, expected.data());
  expect_equal_bits(out, expected);
  for (uint32_t i = 0; i < count; ++i) {
    const double up = i % 2 == 0 ? 1.0 : -2.0;
    const double exact = gate[i] / (1.0 + std::exp(-double{gate[i]})) * up;
    // exp() by 8 steps, an addition and a division; below -88, where exp() is clamped, what is left is |gate|
    // / e^88.
    EXPECT_NEAR(out[i], exact, std::abs(exact) * 12 * 0x1p-24 + std::abs(gate[i] * up) * 6.1e-39)
        << "gate " << gate[i];
  }
}

TEST_P(VectorTest, ToHalf) {
  std::vector<float> values;
  Random random(23);
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = half_to_float(static_cast<uint16_t>(bits));
    if (std::isnan(value)) continue;
    // Each half, a little more and less, and the ties between neighbours.
    values.push_back(value);
    values.push_back(std::nextafter(value, INFINITY));
    values.push_back(value * 1.00048828125F);
  }
  for (int i = 0; i < 1000; ++i) values.push_back(random.uniform(-1e6F, 1e6F));
  while (values.size() % 16 != 0) values.push_back(0);
  std::vector<uint16_t> out(values.size());
  call_cleanly(table_.vector->to_half, values.data(), static_cast<uint32_t>(values.size()), out.data());
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(out[i], float_to_half(values[i])) << values[i];
}

TEST_P(VectorTest, NormCodes) {
  Random random(24);
  for (const uint32_t count : {32U, 64U, 96U, 256U}) {
    for (const float magnitude : {0.0F, 1e-31F, 1e-29F, 1e-20F, 1.0F, 300.0F, 1e37F}) {
      SCOPED_TRACE(testing::Message() << count << " values up to " << magnitude);
      std::vector<float> x = random.floats(count, magnitude);
      x[0] = magnitude;
      if (count == 96) std::fill(x.begin() + 1, x.end(), 0.0F);  // one that has the whole norm
      if (count == 256) std::fill(x.begin(), x.end(), -magnitude);
      std::vector<int16_t> codes(count, 1), expected(count, 2);
      const float scale = table_.vector->to_norm_codes(x.data(), count, codes.data());
      EXPECT_EQ(scale, scalar_.vector->to_norm_codes(x.data(), count, expected.data()));
      EXPECT_EQ(codes, expected);
      double squares = 0;
      if (magnitude <= 1e-31F) {
        EXPECT_EQ(scale, 0.0F);
        EXPECT_EQ(codes, std::vector<int16_t>(count));
        continue;
      }
      for (uint32_t i = 0; i < count; ++i) {
        squares += double{x[i]} * x[i];
        // Half a step, and a few roundings of up to 2^-24 of the number.
        ASSERT_NEAR(static_cast<double>(codes[i]) * scale, x[i], scale * 0.5 + std::fabs(x[i]) * 0x1p-21);
      }
      EXPECT_NEAR(std::sqrt(squares) / scale, kWordCodes, 0.1);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, VectorTest, testing::ValuesIn(supported_tables()), table_test_name);

}  // namespace
}  // namespace stonechat
