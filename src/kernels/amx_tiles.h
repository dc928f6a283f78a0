// The tile registers of Intel's AMX as far as 8-bit products need them: Intel 64 and IA-32 Architectures
// Software Developer's Manual, volume 1, chapter 18, and volume 2, LDTILECFG, TDPBSSD.
//
// Written as assembly, as the intrinsics of GCC don't tell the compiler that tiles are loaded from memory.
// Internal to each source that includes it.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace stonechat {
namespace {

inline constexpr uint32_t kAmxRows = 16;      // of a tile, at most
inline constexpr uint32_t kAmxRowBytes = 64;  // of a row, at most

// What LDTILECFG reads: the shape of each of the eight tiles.
struct alignas(64) AmxShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  void set(uint32_t tile, uint32_t tile_rows, uint32_t tile_row_bytes) {
    rows[tile] = static_cast<uint8_t>(tile_rows);
    row_bytes[tile] = static_cast<uint16_t>(tile_row_bytes);
  }
};
static_assert(sizeof(AmxShapes) == 64);

// Also makes all tiles zero.
inline void amx_configure(const AmxShapes& shapes) {
  asm volatile("ldtilecfg %0" ::"m"(shapes));
}
inline void amx_release() {
  asm volatile("tilerelease" ::: "memory");
}

template <int kTile>
void amx_zero() {
  asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
}
// Rows lie `stride` bytes apart.
template <int kTile>
void amx_load(const void* rows, size_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(rows), "r"(stride), "i"(kTile) : "memory");
}
template <int kTile>
void amx_store(void* rows, size_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(rows), "r"(stride), "i"(kTile) : "memory");
}
// sum[m][n] += the sum over k of left[m][k] * right[k / 4][n * 4 + k % 4]; bytes are signed, sums are of 32
// bits.
template <int kSum, int kLeft, int kRight>
void amx_add_products() {
  asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSum), "i"(kLeft), "i"(kRight));
}

}  // namespace
}  // namespace stonechat
