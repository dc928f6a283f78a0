#include "report/number_text.h"

#include <gtest/gtest.h>

namespace stonechat {
namespace {

TEST(NumberText, ThousandsAreSeparated) {
  EXPECT_EQ(fixed_text(0, 0), "0");
  EXPECT_EQ(fixed_text(999, 0), "999");
  EXPECT_EQ(fixed_text(1000, 0), "1,000");
  EXPECT_EQ(fixed_text(1234567.891, 2), "1,234,567.89");
  EXPECT_EQ(fixed_text(-123456, 0), "-123,456");
  EXPECT_EQ(fixed_text(-999.96, 1), "-1,000.0");
  EXPECT_EQ(fixed_text(-0.004, 2), "0.00");
}

TEST(NumberText, DigitsThatCount) {
  EXPECT_EQ(significant_text(1188.23, 4), "1,188");
  EXPECT_EQ(significant_text(123456, 4), "123,456");
  EXPECT_EQ(significant_text(23.114, 4), "23.11");
  EXPECT_EQ(significant_text(0.00073, 3), "0.000730");
  EXPECT_EQ(significant_text(9.99961, 4), "10.00");
  EXPECT_EQ(significant_text(0, 4), "0");
  EXPECT_EQ(significant_text(-0.25, 2), "-0.25");
}

TEST(NumberText, TheDeviationSaysHowManyDigits) {
  EXPECT_EQ(with_deviation(1188.23, 7.86), "1,188.2 \u00b1 7.9");
  EXPECT_EQ(with_deviation(23.193, 0.1358), "23.19 \u00b1 0.14");
  EXPECT_EQ(with_deviation(0.00073, 0.00004), "0.000730 \u00b1 0.000040");
  EXPECT_EQ(with_deviation(1200, 123), "1,200 \u00b1 123");
  EXPECT_EQ(with_deviation(84.1, 0), "84.10");
}

TEST(NumberText, Changes) {
  EXPECT_EQ(change_text(1.74), "+74.0 %");
  EXPECT_EQ(change_text(7.16), "+616 %");
  EXPECT_EQ(change_text(0.17), "-83.0 %");
  EXPECT_EQ(change_text(1.0014), "+0.14 %");
  EXPECT_EQ(change_text(1), "0.00 %");
  EXPECT_EQ(change_text(0.999999), "0.00 %");
}

TEST(NumberText, Others) {
  EXPECT_EQ(megabytes_text(525'117'824), "525.1");
  EXPECT_EQ(megabytes_text(1'976'131'072), "1,976.1");
  EXPECT_EQ(percent_text(0.98614, 2), "98.61 %");
  EXPECT_EQ(duration_text(48.4), "48 s");
  EXPECT_EQ(duration_text(723), "12 min 3 s");
  EXPECT_EQ(duration_text(4021.5), "1 h 7 min");
}

}  // namespace
}  // namespace stonechat
