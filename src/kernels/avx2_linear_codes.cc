// Products with integer codes without VNNI.
//
// Codes of 8 bits: VPMADDWD adds two products of 16-bit numbers, which is exact. Codes of weights are widened
// as they are read, once for all tokens that share the registers; those of activations are stored in 16 bits.
//
// Codes of 4 bits: VPMADDUBSW multiplies unsigned by signed bytes and adds two products, at most 2 x 15 x
// 127, in 16 bits. Eight of them, a block, stay below 2^15; then VPMADDWD by ones adds the halves in 32 bits.
#include "kernels/avx2_parts.h"
#include "kernels/avx2_quantize.h"
#include "kernels/simd_linear_codes.h"

namespace stonechat::avx2 {
namespace {

struct DotEight : CodeDot {
  using Simd = avx2::Simd;
  using Integers = __m256i;
  using Code = int16_t;
  static constexpr uint32_t kStepCols = 2;
  static constexpr uint32_t kGroupTokens = 4;  // 8 integer sums, 2 weights, 1 operand, 1 product
  static constexpr bool kUnsigned = false;
  static constexpr bool kWidens = true;

  static __m256i begin(const void*) { return _mm256_setzero_si256(); }
  static __m256i load(const uint8_t* stored) {
    return _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(stored)));
  }
  static __m256i load_wide(const uint8_t* widened) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(widened));
  }
  static void store_wide(uint8_t* widened, __m256i weights) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(widened), weights);
  }
  static __m256i broadcast(const int16_t* codes) {
    int32_t two;
    memcpy(&two, codes, 4);
    return _mm256_set1_epi32(two);
  }
  static __m256i add(__m256i sum, __m256i weights, __m256i x) {
    const __m256i products = _mm256_madd_epi16(weights, x);
    // An addition that the compiler knows it collects from many steps before it does any, and spills.
    asm("vpaddd %1, %0, %0" : "+x"(sum) : "x"(products));
    return sum;
  }
  static __m256 to_float(__m256i sum, const void*) { return _mm256_cvtepi32_ps(sum); }

  static int32_t quantize(const float* values, float inverse, int16_t* codes) {
    const __m256i low = sixteen_codes(values, inverse);
    const __m256i high = sixteen_codes(values + 16, inverse);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), low);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes + 16), high);
    return sum_of_codes(low, high);
  }
};

struct DotFour : UnsignedCodes {
  static __m256i begin(const void*) { return _mm256_setzero_si256(); }
  static __m256i add(__m256i sum, __m256i weights, __m256i x) {
    const __m256i products = _mm256_maddubs_epi16(weights, x);
    asm("vpaddw %1, %0, %0" : "+x"(sum) : "x"(products));
    return sum;
  }
  static __m256 to_float(__m256i sum, const void* start) {
    const __m256i pairs = _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
    return _mm256_cvtepi32_ps(_mm256_add_epi32(pairs, broadcast(start)));
  }
};

}  // namespace

constinit const LinearKernels kQ8_0Linear = SimdLinearCodes<DotEight, FormatQ8_0>::kernels();
constinit const LinearKernels kQ8RowLinear = SimdLinearCodes<DotEight, FormatQ8Row>::kernels();
constinit const LinearKernels kQ4_0Linear = SimdLinearCodes<DotFour, FormatQ4_0>::kernels();

}  // namespace stonechat::avx2
