// Attention with a cache of codes by AMX: many rows at once are multiplied with keys, or with values, by
// TDPBSSD. Few rows, and caches of floats, go through as with avx512_vnni.
#include "kernels/amx_tiles.h"
#include "kernels/avx512_wide_dots.h"
#include "kernels/simd_attention.h"

namespace stonechat::avx512 {
namespace {

// What the Matrices of both widths of codes have in common. Tiles 0 to 2 are sums, 4 and 5 the high and the
// low digits of rows, 6 and 7 those of outputs.
struct AmxMatrices {
  static constexpr uint32_t kRows = kAmxRows;
  static constexpr uint32_t kDepth = kAmxRowBytes;
  static constexpr uint32_t kParts = 8;
  static constexpr uint32_t kSums = kRows * Simd::kLanes;  // of a tile

  static void begin() {
    AmxShapes shapes;
    for (uint32_t tile = 0; tile < 8; ++tile) shapes.set(tile, kAmxRows, kAmxRowBytes);
    amx_configure(shapes);
  }
  static void end() { amx_release(); }
};

struct AmxWordDots : WordDots {
  // A code is 256 times a high digit and a low one, both signed. So a product of codes has three sums: of
  // high digits, of high ones times low ones, and of low digits. Their total is exact modulo 2^32.
  struct Matrices : AmxMatrices {
    struct Products {
      alignas(64) int32_t high[kSums];
      alignas(64) int32_t middle[kSums];
      alignas(64) int32_t low[kSums];
    };

    // kDepth codes become as many high digits and then as many low ones, where those of the second half come
    // between those of the first.
    static void split_row(uint8_t* codes, uint32_t depth) {
      for (uint32_t d = 0; d < depth; d += kDepth, codes += 2 * kDepth)
        split(codes, codes + kDepth, codes, codes + kDepth);
    }
    // The same of codes (depth / 2, outputs, 2). Asks for those of the next step.
    static const uint8_t* split_columns(const int16_t* codes, uint32_t depth, uint32_t outputs,
                                        uint32_t head_dim, uint8_t* digits) {
      const size_t half = size_t{kDepth / 2} * outputs;
      for (uint32_t d = 0; d < depth; d += kDepth, codes += half) {
        for (size_t i = 0; i < half; i += kCodes, codes += kCodes, digits += kAmxRowBytes) {
          split(codes, codes + half, digits, digits + 2 * half);
          ask_for_next_step(codes, head_dim);
          ask_for_next_step(codes + half, head_dim);
        }
        digits += 2 * half;
      }
      return digits - size_t{2} * depth * outputs;
    }

    static void load_rows(const uint8_t* digits, uint32_t d, uint32_t depth) {
      amx_load<4>(digits + 2 * d, size_t{2} * depth);
      amx_load<5>(digits + 2 * d + kDepth, size_t{2} * depth);
    }
    static void clear() {
      amx_zero<0>();
      amx_zero<1>();
      amx_zero<2>();
    }
    static void add(const uint8_t* columns, uint32_t width) {
      add_part<0>(columns, width);
      add_part<1>(columns, width);
      add_part<2>(columns, width);
      add_part<3>(columns, width);
    }
    template <uint32_t kPart>
    static void part(const uint8_t* columns, uint32_t width, Products& out) {
      add_part<kPart>(columns, width);
      if constexpr (kPart == 5) amx_store<0>(out.high, kAmxRowBytes);
      if constexpr (kPart == 6) amx_store<2>(out.low, kAmxRowBytes);
      if constexpr (kPart == 7) amx_store<1>(out.middle, kAmxRowBytes);
    }
    static Sum sum_of(const Products& products, uint32_t row) {
      const size_t at = row * Simd::kLanes;
      const __m512i high = _mm512_slli_epi32(_mm512_load_si512(products.high + at), 16);
      const __m512i middle = _mm512_slli_epi32(_mm512_load_si512(products.middle + at), 8);
      return _mm512_add_epi32(_mm512_add_epi32(high, middle), _mm512_load_si512(products.low + at));
    }

   private:
    static constexpr size_t kCodes = kAmxRowBytes / sizeof(int16_t);  // of a vector

    static void split(const void* first, const void* second, uint8_t* high, uint8_t* low) {
      const __m512i even = _mm512_loadu_si512(first);
      const __m512i odd = _mm512_loadu_si512(second);
      const __m512i half = _mm512_set1_epi16(128);
      constexpr __mmask64 kOdd = 0xaaaaaaaaaaaaaaaa;
      const __m512i high_even = _mm512_srli_epi16(_mm512_add_epi16(even, half), 8);
      _mm512_storeu_si512(high, _mm512_mask_mov_epi8(high_even, kOdd, _mm512_add_epi16(odd, half)));
      _mm512_storeu_si512(low, _mm512_mask_mov_epi8(even, kOdd, _mm512_slli_epi16(odd, 8)));
    }
    template <uint32_t kPart>
    static void add_part(const uint8_t* columns, uint32_t width) {
      if constexpr (kPart == 0) {
        amx_load<7>(columns + size_t{kDepth} * width, size_t{4} * width);
        amx_load<6>(columns, size_t{4} * width);
        amx_add_products<1, 4, 7>();
      }
      if constexpr (kPart == 1) amx_add_products<0, 4, 6>();
      if constexpr (kPart == 2) amx_add_products<2, 5, 7>();
      if constexpr (kPart == 3) amx_add_products<1, 5, 6>();
    }
  };
};

struct AmxWideDots : WideDots {
  // 18 tokens of 7 heads, which an executor gives at once: nearly whole tiles, and codes are split once for
  // all.
  static constexpr uint32_t kGroupRows = 126;
  static constexpr uint32_t kMatrixRows = 12;  // fewer take VPDPBUSD less time
  using Words = AmxWordDots;

  // Digits of rows are what SimdAttentionCodes makes of them, keys and values are as the cache holds them.
  struct Matrices : AmxMatrices {
    struct Products {
      alignas(64) int32_t high[kSums];
      alignas(64) int32_t low[kSums];
    };

    static void split_row(uint8_t*, uint32_t) {}
    static const uint8_t* split_columns(const int8_t* codes, uint32_t, uint32_t, uint32_t, uint8_t*) {
      return reinterpret_cast<const uint8_t*>(codes);
    }

    static void load_rows(const uint8_t* digits, uint32_t d, uint32_t depth) {
      amx_load<4>(digits + d, size_t{2} * depth);
      amx_load<5>(digits + depth + d, size_t{2} * depth);
    }
    static void clear() {
      amx_zero<0>();
      amx_zero<1>();
    }
    static void add(const uint8_t* columns, uint32_t width) {
      amx_load<6>(columns, size_t{4} * width);
      amx_add_products<0, 4, 6>();
      amx_add_products<1, 5, 6>();
    }
    template <uint32_t kPart>
    static void part(const uint8_t* columns, uint32_t width, Products& out) {
      if constexpr (kPart == 0) add(columns, width);
      if constexpr (kPart == 6) amx_store<0>(out.high, kAmxRowBytes);
      if constexpr (kPart == 7) amx_store<1>(out.low, kAmxRowBytes);
    }
    static Sum sum_of(const Products& products, uint32_t row) {
      return {_mm512_load_si512(products.high + row * Simd::kLanes),
              _mm512_load_si512(products.low + row * Simd::kLanes)};
    }
  };
};

}  // namespace

constinit const AttentionKernels kAttentionAmx = SimdAttention<AmxWideDots>::kernels();

}  // namespace stonechat::avx512
