// How weights that are floats, and the activations that they are multiplied with, lie in memory.
//
// A tile is some rows, stored column by column. Prepared activations are the floats themselves, token after
// token.
//
// Internal to each source that includes it, as these are compiled for different processors.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/kernel_table.h"

namespace stonechat {
namespace {

struct FloatActivations {
  static size_t prepared_bytes(uint32_t tokens, uint32_t cols) noexcept {
    return (size_t{tokens} * cols * sizeof(float) + 63) / 64 * 64;
  }

  static void prepare(const PrepareJob* job) noexcept {
    for (uint32_t token = job->first_token; token < job->end_token; ++token) {
      memcpy(static_cast<float*>(job->prepared) + size_t{token} * job->cols + job->first_col,
             job->x + (token - job->first_token) * job->x_stride,
             (job->end_col - job->first_col) * sizeof(float));
    }
  }
};

// `Format` gives Stored, the type of a weight, and widen(), which makes it a float.
template <typename Format, uint32_t kTileRows>
struct FloatTiles {
  using Stored = typename Format::Stored;

  static size_t tile_bytes(uint32_t cols) noexcept { return size_t{cols} * kTileRows * sizeof(Stored); }

  static const Stored* tile_of(const void* pack, uint32_t row, uint32_t cols) noexcept {
    return static_cast<const Stored*>(pack) + size_t{row} / kTileRows * kTileRows * cols;
  }

  static void pack_tile(const void* source, uint32_t rows, uint32_t cols, void* tile) noexcept {
    if (rows < kTileRows) memset(tile, 0, tile_bytes(cols));
    // Square pieces, so that neither side jumps over more lines than the cache holds.
    constexpr uint32_t kPiece = 16;
    for (uint32_t first = 0; first < cols; first += kPiece) {
      for (uint32_t row = 0; row < rows; ++row) {
        const auto* in = static_cast<const uint8_t*>(source) + (size_t{row} * cols + first) * sizeof(Stored);
        Stored piece[kPiece];
        memcpy(piece, in, sizeof piece);
        Stored* out = static_cast<Stored*>(tile) + size_t{first} * kTileRows + row;
        for (uint32_t i = 0; i < kPiece; ++i) out[i * kTileRows] = piece[i];
      }
    }
  }

  static void unpack_row(const void* pack, uint32_t row, uint32_t cols, float* out) noexcept {
    const Stored* weights = tile_of(pack, row, cols) + row % kTileRows;
    for (uint32_t col = 0; col < cols; ++col) out[col] = Format::widen(weights[size_t{col} * kTileRows]);
  }
};

}  // namespace
}  // namespace stonechat
