// What benchmarks give to kernels: floats, packs of weights, caches; the same each time. Kernels take as long
// with any others of a sane size. Needs base and kernels only, as arm_cycles_driver has no more.
#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "base/aligned_buffer.h"
#include "kernels/kernel_table.h"

namespace stonechat {

// In [-1, 1).
inline std::vector<float> some_floats(size_t count) {
  std::mt19937 random(1);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random() % 2000) / 1000.0F - 1.0F;
  return values;
}

// `bytes` of them, an even number: numbers of magnitude 2^-15 to 2 as F16, as BF16 and, two by two, as F32;
// as codes some.
inline std::vector<uint8_t> some_numbers(size_t bytes) {
  std::minstd_rand random(1);
  std::vector<uint8_t> numbers(bytes);
  for (size_t at = 0; at < bytes; at += 2) {
    const auto number = static_cast<uint16_t>((random() >> 8 & 0x87ff) | 0x3800);
    std::memcpy(&numbers[at], &number, 2);
  }
  return numbers;
}

// A matrix of one tile of rows again and again, which is all that a kernel can tell apart here. Rows of Q8Row
// have means.
inline AlignedBuffer some_pack(const LinearKernels& linear, WeightFormat format, uint32_t rows,
                               uint32_t cols) {
  constexpr size_t kBlockBytes[kWeightFormats] = {128, 64, 64, 34, 32, 18};
  const bool is_row = format == kWeightQ8Row;
  const size_t row_bytes = (is_row ? 8 : 0) + kBlockBytes[format] * (cols / kBlock);
  std::vector<uint8_t> stored = some_numbers(row_bytes * linear.tile_rows);
  constexpr uint16_t kScale = 0x2000;  // 2^-7
  constexpr float kHeader[2] = {0x1p-7F, 0x1p-5F};
  for (size_t at = 0; at < stored.size(); at += is_row ? row_bytes : kBlockBytes[format]) {
    if (is_row) std::memcpy(&stored[at], kHeader, sizeof kHeader);
    if (format == kWeightQ8_0 || format == kWeightQ4_0) std::memcpy(&stored[at], &kScale, sizeof kScale);
  }
  const size_t tile_bytes = linear.tile_bytes(cols);
  AlignedBuffer pack((rows + linear.tile_rows - 1) / linear.tile_rows * tile_bytes);
  linear.pack_tile(stored.data(), linear.tile_rows, cols, pack.data());
  for (size_t at = tile_bytes; at < pack.bytes(); at += tile_bytes)
    std::memcpy(pack.data() + at, pack.data(), tile_bytes);
  return pack;
}

// `count` keys' or values' numbers, of 16 bits or less, of heads of up to 64 dimensions.
inline std::vector<uint8_t> some_cached(CacheFormat format, size_t count) {
  std::vector<uint8_t> numbers = some_numbers(count * number_bytes(format));
  if (format != kCacheQ16) return numbers;
  // Codes of at most 4,000, as those of a key have a norm of kWordCodes.
  std::minstd_rand random(1);
  for (size_t at = 0; at < numbers.size(); at += 2) {
    const auto code = static_cast<int16_t>(static_cast<int>(random() % 8001) - 4000);
    std::memcpy(&numbers[at], &code, 2);
  }
  return numbers;
}

}  // namespace stonechat
