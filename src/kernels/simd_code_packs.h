// How weights and activations in integer codes lie in memory on x86, for any width of vectors and any of the
// formats in code_formats.h. The products of simd_linear_codes.h read them; `Dot` is described there.
//
// A tile is two vectors of rows. Where rows have scales, it begins with the rows' scales and then their
// means, as floats. Then block after block: the rows' scales (binary16; none where rows have scales), then
// their codes, a few consecutive columns of each row at a time (a step: as many as one lane of Dot's
// multiplication takes). Codes of 4 bits share bytes: an even step's are the low halves of those of the next
// step.
//
// Activations are prepared in groups of Dot::kGroupTokens tokens, the last of what is left. A group is stored
// block after block: the codes of each token, then their scales, then (where Dot or the format wants them)
// the sums of the codes, times kSumFactor.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/code_formats.h"
#include "kernels/simd_reduce.h"

namespace stonechat {

// What most Dots have in common.
struct CodeDot {
  // Whether codes of 8 bits lie in packs as they are, though products take them as unsigned.
  static constexpr bool kStoresSigned = false;
  // Groups of at least that many tokens are multiplied by Dot::Matrices; here there are none.
  static constexpr uint32_t kMatrixTokens = UINT32_MAX;
};

template <typename Dot, typename Format>
class SimdCodePacks {
 public:
  using Simd = typename Dot::Simd;
  using Vector = typename Simd::Vector;
  using Integers = typename Dot::Integers;
  using Code = typename Dot::Code;

  static constexpr bool kHasRowScales = Format::kHasRowScales;
  static constexpr bool kIsFourBits = Format::kCodeBits == 4;

  static constexpr uint32_t kLanes = Simd::kLanes;
  static constexpr uint32_t kTileRows = 2 * kLanes;
  static constexpr uint32_t kHeaderBytes = kHasRowScales ? 2 * kTileRows * sizeof(float) : 0;
  static constexpr uint32_t kScaleBytes = kHasRowScales ? 0 : kTileRows * 2;
  static constexpr uint32_t kBlockBytes = kScaleBytes + kTileRows * kBlock * Format::kCodeBits / 8;
  static constexpr uint32_t kStep = Dot::kStepCols;
  static constexpr uint32_t kVectorCodes = kLanes * kStep;  // of a step and a vector of rows
  static constexpr uint8_t kOffset =
      Dot::kUnsigned ? 1 << (Format::kCodeBits - 1) : 0;  // of codes in products
  static constexpr uint8_t kStoredOffset = Dot::kStoresSigned && !kIsFourBits ? 0 : kOffset;

  static constexpr uint32_t kGroup = Dot::kGroupTokens;
  static constexpr uint32_t kCodeBytes = kBlock * sizeof(Code);
  static constexpr bool kHasSums = Dot::kUnsigned || kHasRowScales;
  static constexpr int32_t kSumFactor = Dot::kUnsigned ? -int32_t{kOffset} : 1;
  static constexpr uint32_t kTokenBytes = kCodeBytes + (kHasSums ? 8 : 4);  // of a block of one token

  static size_t tile_bytes(uint32_t cols) noexcept {
    return (kHeaderBytes + size_t{cols} / kBlock * kBlockBytes + 63) / 64 * 64;
  }

  // Of a row, in a block behind its scales.
  static void pack_codes(const int8_t (&codes)[kBlock], uint32_t row, uint8_t* out) noexcept {
    out += row * kStep;
    if constexpr (kIsFourBits) {
      for (uint32_t col = 0; col < kBlock; col += 2 * kStep, out += kTileRows * kStep) {
        for (uint32_t i = 0; i < kStep; ++i)
          out[i] = static_cast<uint8_t>((codes[col + i] + kStoredOffset) |
                                        (codes[col + kStep + i] + kStoredOffset) << 4);
      }
    } else {
      for (uint32_t col = 0; col < kBlock; col += kStep, out += kTileRows * kStep) {
        for (uint32_t i = 0; i < kStep; ++i) out[i] = static_cast<uint8_t>(codes[col + i] + kStoredOffset);
      }
    }
  }

  static int32_t unpack_code(const uint8_t* codes, uint32_t row, uint32_t col) noexcept {
    const uint32_t step = col / kStep;
    if constexpr (kIsFourBits) {
      const uint8_t both = codes[(step / 2 * kTileRows + row) * kStep + col % kStep];
      return (step % 2 == 0 ? both & 15 : both >> 4) - kStoredOffset;
    } else {
      const auto code =
          static_cast<uint8_t>(codes[(step * kTileRows + row) * kStep + col % kStep] - kStoredOffset);
      return static_cast<int8_t>(code);
    }
  }

  static void pack_tile(const void* source, uint32_t rows, uint32_t cols, void* tile) noexcept {
    auto* out = static_cast<uint8_t*>(tile);
    if constexpr (kHasRowScales) {
      memset(out, 0, kHeaderBytes);
      for (uint32_t row = 0; row < rows; ++row) {
        const uint8_t* header = stored_block<Format>(source, row, cols, 0) - Format::kHeaderBytes;
        memcpy(out + row * 4, header, 4);
        memcpy(out + (kTileRows + row) * 4, header + 4, 4);
      }
      out += kHeaderBytes;
    }
    for (uint32_t block = 0; block < cols / kBlock; ++block, out += kBlockBytes) {
      if constexpr (!kHasRowScales) memset(out, 0, kScaleBytes);
      for (uint32_t row = 0; row < kTileRows; ++row) {
        int8_t codes[kBlock] = {};
        if (row < rows) {
          const uint8_t* stored = stored_block<Format>(source, row, cols, block);
          if constexpr (!kHasRowScales) memcpy(out + row * 2, stored, 2);
          Format::read_codes(stored, codes);
        }
        pack_codes(codes, row, out + kScaleBytes);
      }
    }
  }

  static void unpack_row(const void* pack, uint32_t row, uint32_t cols, float* out) noexcept {
    const uint8_t* block = static_cast<const uint8_t*>(pack) + row / kTileRows * tile_bytes(cols);
    row %= kTileRows;
    float scale = 0;
    float mean = 0;
    if constexpr (kHasRowScales) {
      memcpy(&scale, block + row * 4, 4);
      memcpy(&mean, block + (kTileRows + row) * 4, 4);
      block += kHeaderBytes;
    }
    for (uint32_t first = 0; first < cols; first += kBlock, block += kBlockBytes) {
      if constexpr (!kHasRowScales) {
        uint16_t half;
        memcpy(&half, block + row * 2, 2);
        scale = Simd::widen_one_half(half);
      }
      for (uint32_t col = 0; col < kBlock; ++col) {
        const float value = scale * static_cast<float>(unpack_code(block + kScaleBytes, row, col));
        out[first + col] = kHasRowScales ? mean + value : value;
      }
    }
  }

  static size_t prepared_bytes(uint32_t tokens, uint32_t cols) noexcept {
    return (size_t{tokens} * (cols / kBlock) * kTokenBytes + 63) / 64 * 64;
  }

  // Where the group begins whose first token this is.
  static size_t group_offset(uint32_t first_token, uint32_t cols) noexcept {
    return size_t{first_token} * (cols / kBlock) * kTokenBytes;
  }

  static void prepare(const PrepareJob* job) noexcept {
    for (uint32_t first = job->first_token; first < job->end_token; first += kGroup) {
      const uint32_t tokens = job->end_token - first < kGroup ? job->end_token - first : kGroup;
      uint8_t* group = static_cast<uint8_t*>(job->prepared) + group_offset(first, job->cols);
      for (uint32_t t = 0; t < tokens; ++t) {
        const float* x = job->x + (first - job->first_token + t) * job->x_stride;
        for (uint32_t col = job->first_col; col < job->end_col; col += kBlock, x += kBlock) {
          prepare_block(x, t, tokens, group + size_t{col} / kBlock * tokens * kTokenBytes);
        }
      }
    }
  }

  static void prepare_block(const float* x, uint32_t token, uint32_t tokens, uint8_t* block) noexcept {
    const float largest = largest_magnitude<Simd>(x, kBlock);
    const bool is_zero = largest <= 1e-30F;
    const float scale = is_zero ? 0.0F : largest / 127.0F;
    const float inverse = is_zero ? 0.0F : 127.0F / largest;
    const int32_t sum = Dot::quantize(x, inverse, reinterpret_cast<Code*>(block) + token * kBlock);
    memcpy(block + tokens * kCodeBytes + token * 4, &scale, 4);
    if constexpr (kHasSums) {
      const int32_t stored = kSumFactor * sum;
      memcpy(block + tokens * (kCodeBytes + 4) + token * 4, &stored, 4);
    }
  }
};

}  // namespace stonechat
