#include "quant/encode.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "quant/block_formats.h"

namespace stonechat {
namespace {

BlockQ8_0 encode_q8_0(const float* weights) {
  float largest = 0;
  for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(weights[i]));
  const float d = largest / 127.0F;
  const float inverse = d == 0 ? 0.0F : 1.0F / d;
  BlockQ8_0 block;
  block.d = float_to_half(d);
  for (int i = 0; i < 32; ++i) {
    // 1 / d of a subnormal d may be infinite: such codes times a scale that binary16 rounds to 0 are 0
    // anyway.
    const float code = std::round(weights[i] * inverse);
    block.codes[i] = static_cast<int8_t>(std::clamp(std::isnan(code) ? 0.0F : code, -127.0F, 127.0F));
  }
  return block;
}

}  // namespace

bool can_encode(gguf::TensorType type) {
  using gguf::TensorType;
  return type == TensorType::kF32 || type == TensorType::kF16 || type == TensorType::kBF16 ||
         type == TensorType::kQ8_0;
}

void encode(gguf::TensorType type, const float* source, uint64_t elements, std::byte* destination) {
  using gguf::TensorType;
  switch (type) {
    case TensorType::kF16:
    case TensorType::kBF16:
      for (uint64_t i = 0; i < elements; ++i) {
        const uint16_t bits =
            type == TensorType::kF16 ? float_to_half(source[i]) : float_to_bfloat(source[i]);
        std::memcpy(destination + 2 * i, &bits, sizeof bits);
      }
      return;
    case TensorType::kQ8_0:
      for (uint64_t i = 0; i < elements; i += 32) {
        const BlockQ8_0 block = encode_q8_0(source + i);
        std::memcpy(destination + i / 32 * sizeof block, &block, sizeof block);
      }
      return;
    default:
      std::memcpy(destination, source, elements * sizeof(float));
  }
}

}  // namespace stonechat
