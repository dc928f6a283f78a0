// How rows of the weight formats with integer codes lie in a file (quant/block_formats.h), for the sources
// that pack them.
//
// Internal to each source that includes it, as these are compiled for different processors. Each format
// gives:
//   kCodeBits        of a code as the packs hold it: it is -2^(kCodeBits - 1) .. 2^(kCodeBits - 1) - 1
//   kHasRowScales    a row begins with its scale and its mean as floats; else each block begins with its
//                    scale as binary16
//   kHeaderBytes, kBlockBytes   of a row; of a block of kBlock weights
//   read_codes(block, out)      the codes of a block, which is given from its first byte on
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/kernel_table.h"

namespace stonechat {
namespace {

struct FormatQ8_0 {
  static constexpr uint32_t kCodeBits = 8;
  static constexpr bool kHasRowScales = false;
  static constexpr uint32_t kHeaderBytes = 0;
  static constexpr uint32_t kBlockBytes = 2 + kBlock;
  static void read_codes(const uint8_t* block, int8_t (&out)[kBlock]) { memcpy(out, block + 2, kBlock); }
};

struct FormatQ8Row {
  static constexpr uint32_t kCodeBits = 8;
  static constexpr bool kHasRowScales = true;
  static constexpr uint32_t kHeaderBytes = 8;
  static constexpr uint32_t kBlockBytes = kBlock;
  static void read_codes(const uint8_t* block, int8_t (&out)[kBlock]) { memcpy(out, block, kBlock); }
};

struct FormatQ4_0 {
  static constexpr uint32_t kCodeBits = 4;
  static constexpr bool kHasRowScales = false;
  static constexpr uint32_t kHeaderBytes = 0;
  static constexpr uint32_t kBlockBytes = 2 + kBlock / 2;
  static void read_codes(const uint8_t* block, int8_t (&out)[kBlock]) {
    for (uint32_t i = 0; i < kBlock / 2; ++i) {
      out[i] = static_cast<int8_t>((block[2 + i] & 15) - 8);
      out[i + kBlock / 2] = static_cast<int8_t>((block[2 + i] >> 4) - 8);
    }
  }
};

// Where a block of a stored row begins.
template <typename Format>
const uint8_t* stored_block(const void* rows, uint32_t row, uint32_t cols, uint32_t block) {
  const size_t row_bytes = Format::kHeaderBytes + size_t{cols} / kBlock * Format::kBlockBytes;
  return static_cast<const uint8_t*>(rows) + row * row_bytes + Format::kHeaderBytes +
         size_t{block} * Format::kBlockBytes;
}

}  // namespace
}  // namespace stonechat
