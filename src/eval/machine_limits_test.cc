#include "eval/machine_limits.h"

#include <gtest/gtest.h>

#include "kernels/dispatch.h"

namespace stonechat {
namespace {

TEST(MachineLimits, MedianAndLargerAreOfEachNumber) {
  const std::vector<MachineLimits> three = {{3, 10, 7}, {1, 30, 9}, {2, 20, 8}};
  const MachineLimits middle = median(three);
  EXPECT_EQ(middle.integer_gmacs, 2);
  EXPECT_EQ(middle.float_gmacs, 20);
  EXPECT_EQ(middle.read_gbs, 8);
  EXPECT_EQ(median(std::span(three).first(2)).integer_gmacs, 2);
  const MachineLimits most = larger(three[0], three[1]);
  EXPECT_EQ(most.integer_gmacs, 3);
  EXPECT_EQ(most.float_gmacs, 30);
  EXPECT_EQ(most.read_gbs, 9);
}

TEST(MachineLimits, WorkIsBoundByWhatTakesLonger) {
  const MachineLimits limits = {.integer_gmacs = 100, .float_gmacs = 25, .read_gbs = 10};
  const Bound integer = bound({.integer_macs = 200e9, .bytes = 1e9}, limits);
  EXPECT_DOUBLE_EQ(integer.seconds, 2);
  EXPECT_EQ(integer.limit, Limit::kInteger);
  const Bound floats = bound({.integer_macs = 200e9, .float_macs = 75e9, .bytes = 1e9}, limits);
  EXPECT_DOUBLE_EQ(floats.seconds, 5);
  EXPECT_EQ(floats.limit, Limit::kFloat);
  const Bound read = bound({.integer_macs = 1e9, .attention_macs = 1e15, .bytes = 5e9}, limits);
  EXPECT_DOUBLE_EQ(read.seconds, 0.5);
  EXPECT_EQ(read.limit, Limit::kRead);
}

TEST(LimitMeter, MeasuresSomethingOfEach) {
  for (const uint32_t threads : {1U, 2U}) {
    ThreadPool pool(threads);
    LimitMeter meter(kernels(), pool);
    EXPECT_GE(meter.memory_bytes(), size_t{512} << 20);
    const MachineLimits limits = meter.measure();
    EXPECT_GT(limits.integer_gmacs, 0);
    EXPECT_GT(limits.float_gmacs, 0);
    EXPECT_GT(limits.read_gbs, 0);
  }
}

}  // namespace
}  // namespace stonechat
