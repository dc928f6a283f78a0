#include "quant/rounding.h"

#include <cmath>
#include <cstring>

#include "base/half.h"
#include "quant/block_formats.h"
#include "quant/k_scales.h"

namespace stonechat {
namespace {

using gguf::TensorType;

// The scale of one group of 32 codes.
template <typename Block>
float simple_step(const std::byte* source, uint64_t element) {
  Block block;
  std::memcpy(&block, source + element / 32 * sizeof block, sizeof block);
  return half_to_float(block.d);
}

// Scales and minima of K formats are themselves rounded, to multiples of d and dmin: a scale that is half a d
// too small cuts the largest code off by that many halves.
template <typename Block>
float k_step(const std::byte* source, uint64_t element, int largest_code) {
  Block block;
  std::memcpy(&block, source + element / 256 * sizeof block, sizeof block);
  const int group = static_cast<int>(element % 256 / 32);
  const float scale = static_cast<float>(k_scale(block.scales, group).scale);
  const float cut_off = 0.5F * static_cast<float>(largest_code);
  return std::fabs(half_to_float(block.d)) * (scale + cut_off) + 0.5F * std::fabs(half_to_float(block.m));
}

float q6_k_step(const std::byte* source, uint64_t element) {
  BlockQ6_K block;
  std::memcpy(&block, source + element / 256 * sizeof block, sizeof block);
  const float scale = std::fabs(static_cast<float>(block.scales[element % 256 / 16]));
  constexpr float kCutOff = 0.5F * 32;
  return half_to_float(block.d) * (scale + kCutOff);
}

// Neighbours of a floating point number with `bits` of mantissa, the leading one not counted. 0 for what is
// not a number.
float float_step(float value, int bits) {
  return std::isfinite(value) ? std::ldexp(1.0F, std::ilogb(value) - bits) : 0.0F;
}

float half_at(const std::byte* source, uint64_t element, float (*convert)(uint16_t)) {
  uint16_t bits;
  std::memcpy(&bits, source + 2 * element, sizeof bits);
  return convert(bits);
}

float step_at(TensorType type, const std::byte* source, uint64_t element) {
  constexpr int kHalfBits = 10;
  constexpr int kBfloatBits = 7;
  constexpr float kSmallestHalf = 0x1p-24F;
  switch (type) {
    case TensorType::kF32:
    case TensorType::kI8:
      return 0;
    case TensorType::kF16: {
      const float value = half_at(source, element, half_to_float);
      return value == 0 ? kSmallestHalf : std::fmax(kSmallestHalf, float_step(value, kHalfBits));
    }
    case TensorType::kBF16: {
      const float value = half_at(source, element, bfloat_to_float);
      return value == 0 ? 0 : float_step(value, kBfloatBits);
    }
    case TensorType::kQ8_0:
      return simple_step<BlockQ8_0>(source, element);
    case TensorType::kQ4_0:
      return simple_step<BlockQ4_0>(source, element);
    case TensorType::kQ8_T:
    case TensorType::kQ8_M:
    case TensorType::kQ8_R: {
      RowHeaderQ8 header;
      std::memcpy(&header, source, sizeof header);
      return header.scale;
    }
    case TensorType::kQ4_1:
      return simple_step<BlockQ4_1>(source, element);
    case TensorType::kQ5_0:
      return simple_step<BlockQ5_0>(source, element);
    case TensorType::kQ5_1:
      return simple_step<BlockQ5_1>(source, element);
    case TensorType::kQ4_K:
      return k_step<BlockQ4_K>(source, element, 15);
    case TensorType::kQ5_K:
      return k_step<BlockQ5_K>(source, element, 31);
    case TensorType::kQ6_K:
      return q6_k_step(source, element);
  }
  return 0;
}

}  // namespace

void rounding_steps(TensorType type, const std::byte* source, uint64_t elements, float* steps) {
  for (uint64_t element = 0; element < elements; ++element) {
    steps[element] = std::fabs(step_at(type, source, element));
  }
}

uint32_t precision_rank(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return 13;
    case TensorType::kF16:
      return 12;
    case TensorType::kBF16:
      return 11;
    case TensorType::kQ8_0:
      return 10;
    case TensorType::kQ8_R:
      return 9;
    case TensorType::kQ6_K:
      return 8;
    case TensorType::kQ8_M:
      return 7;
    case TensorType::kQ8_T:
      return 6;
    case TensorType::kQ5_K:
      return 5;
    case TensorType::kQ5_1:
      return 4;
    case TensorType::kQ5_0:
      return 3;
    case TensorType::kQ4_K:
      return 2;
    case TensorType::kQ4_1:
      return 1;
    case TensorType::kQ4_0:
    case TensorType::kI8:
      break;
  }
  return 0;
}

}  // namespace stonechat
