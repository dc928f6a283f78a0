// Encoding and decoding of block formats. Other types and exact bytes are checked against the gguf package in
// tests/integration/test_convert_quantize.py.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/half.h"
#include "quant/block_formats.h"
#include "quant/decode.h"
#include "quant/encode.h"
#include "quant/rounding.h"

namespace stonechat {
namespace {

using gguf::TensorType;

std::vector<float> round_trip(TensorType type, const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() / info(type).block_elements * info(type).block_bytes);
  encode(type, values.data(), values.size(), bytes.data());
  std::vector<float> out(values.size());
  decode(type, bytes.data(), values.size(), out.data());
  return out;
}

std::vector<float> block_of(const std::function<float()>& next) {
  std::vector<float> values(32);
  for (float& value : values) value = next();
  return values;
}

RC_GTEST_PROP(Q8_0, RoundTripIsWithinHalfAStep, ()) {
  const float magnitude = std::ldexp(1.0F, *rc::gen::inRange(-12, 12));
  const auto values = block_of(
      [&] { return magnitude * static_cast<float>(*rc::gen::inRange(-1'000'000, 1'000'001)) / 1e6F; });
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  const auto out = round_trip(TensorType::kQ8_0, values);
  // Half a step of largest / 127; the scale's rounding to binary16 moves a code of up to 127 by 127 x 2^-11
  // steps.
  const double step = largest / 127.0;
  for (size_t i = 0; i < values.size(); ++i) {
    RC_ASSERT(std::abs(out[i] - values[i]) <= step * (0.5 + 127 * 0x1p-11) + 127 * 0x1p-25);
  }
}

RC_GTEST_PROP(Q8_0, DecodedValuesComeBackEqual, ()) {
  BlockQ8_0 block;
  block.d = float_to_half(static_cast<float>(*rc::gen::inRange(1, 1000)) / 1024.0F);
  for (auto& code : block.codes) code = static_cast<int8_t>(*rc::gen::inRange(-127, 128));
  block.codes[*rc::gen::inRange(0, 32)] = 127;
  std::vector<float> values(32);
  decode(TensorType::kQ8_0, reinterpret_cast<const std::byte*>(&block), 32, values.data());
  RC_ASSERT(round_trip(TensorType::kQ8_0, values) == values);
}

RC_GTEST_PROP(Halves, RoundTripIsNearest, ()) {
  const auto values =
      block_of([] { return static_cast<float>(*rc::gen::inRange(-100'000, 100'000)) / 37.0F; });
  const auto f16 = round_trip(TensorType::kF16, values);
  const auto bf16 = round_trip(TensorType::kBF16, values);
  for (size_t i = 0; i < values.size(); ++i) {
    RC_ASSERT(std::abs(f16[i] - values[i]) <= std::abs(values[i]) * 0x1p-11F + 0x1p-25F);
    RC_ASSERT(std::abs(bf16[i] - values[i]) <= std::abs(values[i]) * 0x1p-8F);
  }
  RC_ASSERT(round_trip(TensorType::kF32, values) == values);
}

TEST(Q8_0, ZerosAndTinyValuesAreZero) {
  const std::vector<float> zeros(32, 0.0F);
  EXPECT_EQ(round_trip(TensorType::kQ8_0, zeros), zeros);
  EXPECT_EQ(round_trip(TensorType::kQ8_0, std::vector<float>(32, 1e-38F)), zeros);
  EXPECT_EQ(round_trip(TensorType::kQ8_0, std::vector<float>(32, 1e-44F)), zeros);
}

TEST(RoundingSteps, NeighboursAreAStepApart) {
  // Codes 0, 1, 2, ... of a block with d = 0.25: neighbours differ by what rounding_steps() says.
  BlockQ5_0 block{};
  block.d = float_to_half(0.25F);
  for (uint8_t i = 0; i < 16; ++i) block.nibbles[i] = i;
  float values[32];
  float steps[32];
  decode(TensorType::kQ5_0, reinterpret_cast<const std::byte*>(&block), 32, values);
  rounding_steps(TensorType::kQ5_0, reinterpret_cast<const std::byte*>(&block), 32, steps);
  for (int i = 1; i < 16; ++i) EXPECT_EQ(values[i] - values[i - 1], steps[i]);
}

TEST(RoundingSteps, FloatsAreAsFineAsTheirSize) {
  const uint16_t halves[] = {float_to_half(1.0F), float_to_half(3.0F), float_to_half(0.0F)};
  float steps[3];
  rounding_steps(TensorType::kF16, reinterpret_cast<const std::byte*>(halves), 3, steps);
  EXPECT_EQ(steps[0], 0x1p-10F);
  EXPECT_EQ(steps[1], 0x1p-9F);
  EXPECT_EQ(steps[2], 0x1p-24F);
}

TEST(RoundingSteps, WhatIsNotANumberHasNone) {
  const uint16_t halves[] = {0x7c00, 0xfc00, 0x7e00};  // infinities and NaN
  float steps[3];
  rounding_steps(TensorType::kF16, reinterpret_cast<const std::byte*>(halves), 3, steps);
  for (const float step : steps) EXPECT_EQ(step, 0x1p-24F);
}

// A group whose true scale, 1.5 d, was stored as 1 d: its largest value is cut off by 7.5 d.
TEST(RoundingSteps, CoverTheRoundingOfKScales) {
  BlockQ4_K block{};
  block.d = float_to_half(1.0F);
  block.scales[0] = 1;
  float steps[256];
  rounding_steps(TensorType::kQ4_K, reinterpret_cast<const std::byte*>(&block), 256, steps);
  EXPECT_EQ(steps[0], 1 + 7.5F);
}

TEST(PrecisionRank, FollowsBits) {
  EXPECT_GT(precision_rank(TensorType::kF32), precision_rank(TensorType::kF16));
  EXPECT_GT(precision_rank(TensorType::kQ8_0), precision_rank(TensorType::kQ6_K));
  EXPECT_GT(precision_rank(TensorType::kQ5_0), precision_rank(TensorType::kQ4_0));
}

}  // namespace
}  // namespace stonechat
