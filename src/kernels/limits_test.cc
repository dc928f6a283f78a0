// The loops that measure limits do as many multiply-adds as they say, and read all of the memory.
#include "kernels/test_support.h"

namespace stonechat {
namespace {

class LimitsTest : public testing::TestWithParam<std::string> {
 protected:
  const KernelTable table_ = kernels_up_to(GetParam());
};

TEST_P(LimitsTest, IntegerProductsAreAsManyAsCounted) {
  for (const uint64_t passes : {0U, 1U, 2U, 77U, 1000U}) {
    for (const auto& [a, b] : {std::pair{1, 1}, {1, -1}, {127, 127}, {127, -127}, {0, 5}, {3, 0}}) {
      uint32_t sum = 1;
      const uint64_t count =
          table_.limits->integer_products(passes, static_cast<int8_t>(a), static_cast<int8_t>(b), &sum);
      EXPECT_EQ(count == 0, passes == 0);
      EXPECT_EQ(count % std::max<uint64_t>(1, passes), 0U);
      uint32_t expected = 0;
      for (uint64_t i = 0; i < count; ++i) expected += static_cast<uint32_t>(a * b);
      EXPECT_EQ(sum, expected) << passes << " passes, " << a << " * " << b;
    }
  }
}

TEST_P(LimitsTest, FloatProductsAreAsManyAsCounted) {
  for (const uint64_t passes : {0U, 1U, 2U, 77U, 1000U}) {
    for (const auto& [a, b] : {std::pair{1.0F, 1.0F}, {0.5F, -4.0F}, {3.0F, 0.25F}, {0.0F, 2.0F}}) {
      float sum = -1;
      const uint64_t count = table_.limits->float_products(passes, a, b, &sum);
      EXPECT_EQ(count == 0, passes == 0);
      // Each product is a multiple of 0.25, so all sums are exact below 2^22.
      ASSERT_LT(static_cast<double>(count), 0x1p22 / 2);
      EXPECT_EQ(sum, static_cast<float>(count) * (a * b)) << passes << " passes, " << a << " * " << b;
    }
  }
}

TEST_P(LimitsTest, ReadsEachWordOnce) {
  for (const size_t steps : {0U, 1U, 2U, 3U, 64U}) {
    AlignedBuffer buffer(steps * kReadStep + kReadStep);
    uint32_t expected = 0;
    Random random(31);
    for (size_t i = 0; i < buffer.bytes() / 4; ++i) {
      buffer.as<uint32_t>()[i] = static_cast<uint32_t>(random.integer(INT32_MIN, INT32_MAX));
      if (i < steps * kReadStep / 4) expected += buffer.as<uint32_t>()[i];
    }
    for (const size_t ahead : {0U, 64U, 1U << 20}) {
      EXPECT_EQ(table_.limits->read(buffer.data(), steps * kReadStep, ahead), expected)
          << steps << " steps, " << ahead << " ahead";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, LimitsTest, testing::ValuesIn(supported_tables()), table_test_name);

}  // namespace
}  // namespace stonechat
