// Attention with an 8-bit cache by AMX: many rows at once are multiplied with a tile of keys, or of values,
// by TDPBSSD. Few rows, and caches of floats and of 16-bit codes, go through as with avx512_vnni.
#include "kernels/amx_tiles.h"
#include "kernels/avx512_wide_dots.h"
#include "kernels/simd_attention.h"

namespace stonechat::avx512 {
namespace {

struct AmxWideDots : WideDots {
  static constexpr uint32_t kMatrixRows = 12;  // fewer take VPDPBUSD less time

  // Sums of the digits' products: of 16 rows and two vectors of outputs.
  struct Products {
    alignas(64) int32_t high[2][kAmxRows * Simd::kLanes];
    alignas(64) int32_t low[2][kAmxRows * Simd::kLanes];
  };

  // Tiles 0 and 1: sums of the high and of the low digits, 2 and 3: of the next 16 outputs; 4: codes of
  // queries or weights, 5: of keys or values. The 64 of a step fill a tile's row.
  struct Matrices {
    static constexpr uint32_t kRows = kAmxRows;
    static constexpr uint32_t kDepth = kAmxRowBytes;  // dimensions at once

    static void begin() {
      AmxShapes shapes;
      for (uint32_t tile = 0; tile < 6; ++tile) shapes.set(tile, kAmxRows, kAmxRowBytes);
      amx_configure(shapes);
    }
    static void end() { amx_release(); }

    static void clear() {
      amx_zero<0>();
      amx_zero<1>();
      amx_zero<2>();
      amx_zero<3>();
    }
    static void add_keys(const uint8_t* queries, uint32_t head_dim, const int8_t* keys) {
      add(queries, size_t{2} * head_dim, head_dim, keys, size_t{4} * kKeyTile);
    }
    static void add_values(const uint8_t* weights, const int8_t* values, uint32_t head_dim) {
      add(weights, size_t{2} * kKeyStep, kKeyStep, values, size_t{4} * head_dim);
    }
    static void store(Products& out) {
      amx_store<0>(out.high[0], kAmxRowBytes);
      amx_store<1>(out.low[0], kAmxRowBytes);
      amx_store<2>(out.high[1], kAmxRowBytes);
      amx_store<3>(out.low[1], kAmxRowBytes);
    }

   private:
    // Digits of rows, the low ones `low` bytes behind the high ones, times codes of 32 outputs.
    static void add(const uint8_t* rows, size_t row_bytes, size_t low, const int8_t* codes, size_t stride) {
      amx_load<5>(codes, stride);
      amx_load<4>(rows, row_bytes);
      amx_add_products<0, 4, 5>();
      amx_load<4>(rows + low, row_bytes);
      amx_add_products<1, 4, 5>();
      amx_load<5>(codes + kAmxRowBytes, stride);
      amx_add_products<3, 4, 5>();
      amx_load<4>(rows, row_bytes);
      amx_add_products<2, 4, 5>();
    }
  };

  static Sum sum_of(const Products& products, uint32_t row, uint32_t vector) {
    return {_mm512_load_si512(products.high[vector] + row * Simd::kLanes),
            _mm512_load_si512(products.low[vector] + row * Simd::kLanes)};
  }
};

}  // namespace

constinit const AttentionKernels kAttentionAmx = SimdAttention<AmxWideDots>::kernels();

}  // namespace stonechat::avx512
