#include "quant/decode.h"

#include <cstring>

#include "base/half.h"
#include "quant/block_formats.h"
#include "quant/k_scales.h"

namespace stonechat {
namespace {

void decode_block(const BlockQ8_0& block, float* out) {
  const float d = half_to_float(block.d);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(block.codes[i]);
}

void decode_block(const BlockQ4_0& block, float* out) {
  const float d = half_to_float(block.d);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((block.nibbles[i] & 15) - 8);
    out[i + 16] = d * static_cast<float>((block.nibbles[i] >> 4) - 8);
  }
}

void decode_block(const BlockQ4_1& block, float* out) {
  const float d = half_to_float(block.d);
  const float m = half_to_float(block.m);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(block.nibbles[i] & 15) + m;
    out[i + 16] = d * static_cast<float>(block.nibbles[i] >> 4) + m;
  }
}

// Bit i of the 32 that Q5_0 and Q5_1 keep apart, as the fifth bit of a code.
int fifth_bit(const uint8_t* high_bits, int i) {
  return ((high_bits[i / 8] >> (i % 8)) & 1) << 4;
}

void decode_block(const BlockQ5_0& block, float* out) {
  const float d = half_to_float(block.d);
  for (int i = 0; i < 16; ++i) {
    const int low = (block.nibbles[i] & 15) | fifth_bit(block.high_bits, i);
    const int high = (block.nibbles[i] >> 4) | fifth_bit(block.high_bits, i + 16);
    out[i] = d * static_cast<float>(low - 16);
    out[i + 16] = d * static_cast<float>(high - 16);
  }
}

void decode_block(const BlockQ5_1& block, float* out) {
  const float d = half_to_float(block.d);
  const float m = half_to_float(block.m);
  for (int i = 0; i < 16; ++i) {
    const int low = (block.nibbles[i] & 15) | fifth_bit(block.high_bits, i);
    const int high = (block.nibbles[i] >> 4) | fifth_bit(block.high_bits, i + 16);
    out[i] = d * static_cast<float>(low) + m;
    out[i + 16] = d * static_cast<float>(high) + m;
  }
}

void decode_block(const BlockQ4_K& block, float* out) {
  const float d = half_to_float(block.d);
  const float m = half_to_float(block.m);
  for (int group = 0; group < 8; ++group) {
    const auto [scale, minimum] = k_scale(block.scales, group);
    const float group_d = d * static_cast<float>(scale);
    const float group_m = m * static_cast<float>(minimum);
    const uint8_t* nibbles = block.nibbles + group / 2 * 32;  // two groups share 32 bytes
    for (int i = 0; i < 32; ++i) {
      const int code = group % 2 == 0 ? nibbles[i] & 15 : nibbles[i] >> 4;
      out[group * 32 + i] = group_d * static_cast<float>(code) - group_m;
    }
  }
}

void decode_block(const BlockQ5_K& block, float* out) {
  const float d = half_to_float(block.d);
  const float m = half_to_float(block.m);
  for (int group = 0; group < 8; ++group) {
    const auto [scale, minimum] = k_scale(block.scales, group);
    const float group_d = d * static_cast<float>(scale);
    const float group_m = m * static_cast<float>(minimum);
    const uint8_t* nibbles = block.nibbles + group / 2 * 32;
    for (int i = 0; i < 32; ++i) {
      const int low = group % 2 == 0 ? nibbles[i] & 15 : nibbles[i] >> 4;
      const int code = low | (((block.high_bits[i] >> group) & 1) << 4);
      out[group * 32 + i] = group_d * static_cast<float>(code) - group_m;
    }
  }
}

void decode_block(const BlockQ6_K& block, float* out) {
  const float d = half_to_float(block.d);
  // Each half of 128 weights is four quarters of 32: quarter q takes nibble q / 2 of low byte 32 (q % 2) + i,
  // and bits 2q, 2q + 1 of high byte i.
  for (int half = 0; half < 2; ++half) {
    for (int quarter = 0; quarter < 4; ++quarter) {
      for (int i = 0; i < 32; ++i) {
        const uint8_t low_byte = block.low_nibbles[half * 64 + quarter % 2 * 32 + i];
        const int low = quarter < 2 ? low_byte & 15 : low_byte >> 4;
        const int high = (block.high_pairs[half * 32 + i] >> (2 * quarter)) & 3;
        const float scale = d * static_cast<float>(block.scales[half * 8 + quarter * 2 + i / 16]);
        out[half * 128 + quarter * 32 + i] = scale * static_cast<float>((low | high << 4) - 32);
      }
    }
  }
}

template <typename Block>
void decode_blocks(const std::byte* source, uint64_t elements, uint64_t block_elements, float* destination) {
  for (uint64_t first = 0; first < elements; first += block_elements) {
    Block block;
    std::memcpy(&block, source, sizeof block);
    decode_block(block, destination + first);
    source += sizeof block;
  }
}

void decode_row_of_codes(const std::byte* source, uint64_t cols, float* destination) {
  RowHeaderQ8 header;
  std::memcpy(&header, source, sizeof header);
  const std::byte* codes = source + sizeof header;
  for (uint64_t i = 0; i < cols; ++i)
    destination[i] = header.mean + header.scale * static_cast<float>(static_cast<int8_t>(codes[i]));
}

template <typename Convert>
void decode_halves(const std::byte* source, uint64_t elements, float* destination, Convert convert) {
  for (uint64_t i = 0; i < elements; ++i) {
    uint16_t bits;
    std::memcpy(&bits, source + 2 * i, sizeof bits);
    destination[i] = convert(bits);
  }
}

}  // namespace

void decode(gguf::TensorType type, const std::byte* source, uint64_t elements, float* destination) {
  using gguf::TensorType;
  switch (type) {
    case TensorType::kF32:
      std::memcpy(destination, source, elements * sizeof(float));
      return;
    case TensorType::kF16:
      return decode_halves(source, elements, destination, half_to_float);
    case TensorType::kBF16:
      return decode_halves(source, elements, destination, bfloat_to_float);
    case TensorType::kQ8_0:
      return decode_blocks<BlockQ8_0>(source, elements, 32, destination);
    case TensorType::kQ4_0:
      return decode_blocks<BlockQ4_0>(source, elements, 32, destination);
    case TensorType::kQ4_1:
      return decode_blocks<BlockQ4_1>(source, elements, 32, destination);
    case TensorType::kQ5_0:
      return decode_blocks<BlockQ5_0>(source, elements, 32, destination);
    case TensorType::kQ5_1:
      return decode_blocks<BlockQ5_1>(source, elements, 32, destination);
    case TensorType::kQ4_K:
      return decode_blocks<BlockQ4_K>(source, elements, 256, destination);
    case TensorType::kQ5_K:
      return decode_blocks<BlockQ5_K>(source, elements, 256, destination);
    case TensorType::kQ6_K:
      return decode_blocks<BlockQ6_K>(source, elements, 256, destination);
    case TensorType::kQ8_T:
    case TensorType::kQ8_M:
    case TensorType::kQ8_R:
      return decode_row_of_codes(source, elements, destination);
    case TensorType::kI8:
      for (uint64_t i = 0; i < elements; ++i)
        destination[i] = static_cast<float>(static_cast<int8_t>(source[i]));
      return;
  }
}

void decode_rows(gguf::TensorType type, const std::byte* source, uint64_t rows, uint64_t cols,
                 float* destination) {
  if (!gguf::has_row_header(type)) return decode(type, source, rows * cols, destination);
  const uint64_t row_bytes = gguf::row_bytes(type, cols);
  for (uint64_t row = 0; row < rows; ++row)
    decode(type, source + row * row_bytes, cols, destination + row * cols);
}

}  // namespace stonechat
