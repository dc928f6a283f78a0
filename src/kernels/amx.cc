// The table for x86 with AMX (Xeon from Sapphire Rapids on): products with integer codes, as soon as there
// are some tokens, by TDPBSSD, which multiplies a matrix of activations, a token a row, with one of weights.
// What multiplies few tokens and the rest are those of avx512_vnni; attention is in amx_attention.cc.
#include "base/cpu_feature_bits.h"
#include "kernels/amx_tiles.h"
#include "kernels/avx512_parts.h"
#include "kernels/avx512_vnni_dot.h"
#include "kernels/simd_linear_codes.h"
#include "kernels/tables.h"

namespace stonechat {
namespace avx512 {
namespace {

struct AmxDot : VnniDot {
  // As many as a tile has rows: a tile's instructions take as long when it has fewer. GCC keeps 5 of the 32
  // sums in memory.
  static constexpr uint32_t kGroupTokens = 16;
  static constexpr uint32_t kMatrixTokens = 7;  // fewer take VPDPBUSD less time
  static constexpr bool kStoresSigned = true;

  // VPDPBUSD wants unsigned weights.
  static __m512i load(const uint8_t* codes) {
    return _mm512_xor_si512(VnniDot::load(codes), _mm512_set1_epi8(-128));
  }
  // Codes of 4 bits, without their offset.
  static void store_wide(uint8_t* widened, __m512i weights) {
    VnniDot::store_wide(widened, _mm512_sub_epi8(weights, _mm512_set1_epi8(8)));
  }
  static __m512i load_wide(const uint8_t* widened) {
    return _mm512_add_epi8(VnniDot::load_wide(widened), _mm512_set1_epi8(8));
  }
  static __m512 load_float(const int32_t* sums) { return _mm512_cvtepi32_ps(_mm512_load_si512(sums)); }

  // Tiles 0 and 1: sums of a group's tokens and 16 rows each; 2: the tokens' activations; 3 and 4: weights.
  struct Matrices {
    static constexpr uint32_t kHalfBytes = Simd::kLanes * kStepCols;  // a step of half of the rows

    static void set_tokens(uint32_t tokens) {
      AmxShapes shapes;
      shapes.set(0, tokens, Simd::kLanes * 4);
      shapes.set(1, tokens, Simd::kLanes * 4);
      shapes.set(2, tokens, kBlock);
      shapes.set(3, kBlock / kStepCols, kHalfBytes);
      shapes.set(4, kBlock / kStepCols, kHalfBytes);
      amx_configure(shapes);
    }
    static void release() { amx_release(); }
    // Half of the rows; half 0 comes first.
    template <int kHalf>
    static void multiply(const uint8_t* activations, const uint8_t* weights) {
      amx_zero<kHalf>();
      if constexpr (kHalf == 0) amx_load<2>(activations, kBlock);
      amx_load<3 + kHalf>(weights + kHalf * kHalfBytes, 2 * kHalfBytes);
      amx_add_products<kHalf, 2, 3 + kHalf>();
    }
    template <int kHalf>
    static void store(int32_t* out) {
      amx_store<kHalf>(out + kHalf * Simd::kLanes, 2 * kHalfBytes);
    }
  };
};

// As many of them as are in the registers at once: four tiles of sums.
uint64_t integer_products(uint64_t passes, int8_t a, int8_t b, uint32_t* sum) noexcept {
  constexpr uint32_t kSums = 4;
  AmxShapes shapes;
  for (uint32_t tile = 0; tile < kSums + 2; ++tile) shapes.set(tile, kAmxRows, kAmxRowBytes);
  amx_configure(shapes);
  alignas(64) int8_t codes[kAmxRows * kAmxRowBytes];
  memset(codes, a, sizeof codes);
  amx_load<4>(codes, kAmxRowBytes);
  memset(codes, b, sizeof codes);
  amx_load<5>(codes, kAmxRowBytes);
  for (uint64_t pass = 0; pass < passes; ++pass) {
    amx_add_products<0, 4, 5>();
    amx_add_products<1, 4, 5>();
    amx_add_products<2, 4, 5>();
    amx_add_products<3, 4, 5>();
  }
  alignas(64) uint32_t sums[kSums][kAmxRows * kAmxRowBytes / 4];
  amx_store<0>(sums[0], kAmxRowBytes);
  amx_store<1>(sums[1], kAmxRowBytes);
  amx_store<2>(sums[2], kAmxRowBytes);
  amx_store<3>(sums[3], kAmxRowBytes);
  amx_release();
  Simd::clear_upper_parts();
  *sum = 0;
  for (const auto& tile : sums) {
    for (const uint32_t one : tile) *sum += one;
  }
  return passes * kSums * kAmxRows * (kAmxRowBytes / 4) * kAmxRowBytes;
}
uint64_t float_products(uint64_t passes, float a, float b, float* sum) noexcept {
  return kLimits.float_products(passes, a, b, sum);
}
uint32_t read(const void* data, size_t bytes, size_t ahead) noexcept {
  return kLimits.read(data, bytes, ahead);
}

constinit const LimitKernels kLimitsAmx = {integer_products, float_products, read};

constinit const LinearKernels kQ8_0LinearAmx = SimdLinearCodes<AmxDot, FormatQ8_0>::kernels();
constinit const LinearKernels kQ8RowLinearAmx = SimdLinearCodes<AmxDot, FormatQ8Row>::kernels();
constinit const LinearKernels kQ4_0LinearAmx = SimdLinearCodes<AmxDot, FormatQ4_0>::kernels();

}  // namespace
}  // namespace avx512

constinit const KernelTable kAmxKernels = {
    "amx",
    kCpuAvx2Fma | kCpuAvx512Vnni | kCpuAmxInt8,
    {nullptr, nullptr, nullptr, &avx512::kQ8_0LinearAmx, &avx512::kQ8RowLinearAmx, &avx512::kQ4_0LinearAmx},
    &avx512::kAttentionAmx,
    nullptr,
    nullptr,
    &avx512::kLimitsAmx,
};

}  // namespace stonechat
