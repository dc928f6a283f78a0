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

BlockQ4_0 encode_q4_0(const float* weights) {
  float largest = 0;
  for (int i = 0; i < 32; ++i) {
    if (std::fabs(weights[i]) > std::fabs(largest)) largest = weights[i];
  }
  const float d = largest / -8.0F;
  const float inverse = d == 0 ? 0.0F : 1.0F / d;
  const auto code_of = [inverse](float weight) {
    // As above, 1 / d may be infinite where d is stored as 0.
    const float code = weight * inverse + 8.5F;
    return static_cast<uint8_t>(std::isnan(code) ? 8.0F : std::clamp(code, 0.0F, 15.0F));
  };
  BlockQ4_0 block;
  block.d = float_to_half(d);
  for (int i = 0; i < 16; ++i)
    block.nibbles[i] = static_cast<uint8_t>(code_of(weights[i]) | code_of(weights[i + 16]) << 4);
  return block;
}

template <typename Block>
void encode_blocks(Block (*encode_block)(const float*), const float* source, uint64_t elements,
                   std::byte* destination) {
  for (uint64_t i = 0; i < elements; i += 32) {
    const Block block = encode_block(source + i);
    std::memcpy(destination + i / 32 * sizeof block, &block, sizeof block);
  }
}

}  // namespace

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
      return encode_blocks(encode_q8_0, source, elements, destination);
    case TensorType::kQ4_0:
      return encode_blocks(encode_q4_0, source, elements, destination);
    case TensorType::kQ8_R: {
      const std::span row(source, elements);
      return encode_row(largest_scale(row), row, destination);
    }
    default:
      std::memcpy(destination, source, elements * sizeof(float));
  }
}

double largest_value(gguf::TensorType type) {
  using gguf::TensorType;
  constexpr double kHalfLimit = 65520;  // this and more round to infinity
  switch (type) {
    case TensorType::kF16:
      return kHalfLimit;
    case TensorType::kQ8_0:
      return kHalfLimit * 127;
    case TensorType::kQ4_0:
      return kHalfLimit * 8;
    case TensorType::kQ8_T:
    case TensorType::kQ8_M:
    case TensorType::kQ8_R:
      return 1e35;  // so that mean + scale * code is finite, whatever the range
    default:
      return INFINITY;
  }
}

RowScale largest_scale(std::span<const float> row) {
  float largest = 0;
  for (const float weight : row) largest = std::max(largest, std::fabs(weight));
  return {double{largest} / 127, 0.0F};
}

void encode_rows(gguf::TensorType type, const RowScale& tensor_scale, std::span<const float> values,
                 uint64_t cols, std::byte* destination) {
  if (!gguf::has_row_header(type)) return encode(type, values.data(), values.size(), destination);
  for (size_t first = 0; first < values.size(); first += cols) {
    const auto row = values.subspan(first, cols);
    encode_row(type == gguf::TensorType::kQ8_R ? largest_scale(row) : tensor_scale, row, destination);
    destination += gguf::row_bytes(type, cols);
  }
}

void encode_row(const RowScale& scale, std::span<const float> row, std::byte* destination) {
  const RowHeaderQ8 header = {static_cast<float>(scale.step), scale.mean};
  std::memcpy(destination, &header, sizeof header);
  std::byte* codes = destination + sizeof header;
  const double inverse = scale.step == 0 ? 0.0 : 1 / scale.step;
  for (size_t i = 0; i < row.size(); ++i) {
    const double code = std::round((double{row[i]} - scale.mean) * inverse);
    codes[i] = static_cast<std::byte>(static_cast<int8_t>(std::clamp(code, -127.0, 127.0)));
  }
}

}  // namespace stonechat
