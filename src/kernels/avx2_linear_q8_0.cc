// Q8_0 products by 16-bit multiplication: VPMADDWD adds two products of 16-bit numbers, which is exact.
//
// Codes of weights are widened as they are read, once for all tokens that share the registers; those of
// activations are stored in 16 bits.
#include "kernels/avx2_parts.h"
#include "kernels/avx2_quantize.h"
#include "kernels/simd_linear_q8_0.h"

namespace stonechat::avx2 {
namespace {

struct Dot {
  using Simd = avx2::Simd;
  using Integers = __m256i;
  using Code = int16_t;
  static constexpr uint32_t kStepCols = 2;
  static constexpr uint32_t kGroupTokens = 4;  // 8 integer sums, 2 weights, 1 operand, 1 product
  static constexpr uint8_t kFlip = 0;
  static constexpr bool kWidens = true;

  static __m256i zero() { return _mm256_setzero_si256(); }
  static __m256i load(const uint8_t* stored) {
    return _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(stored)));
  }
  static void widen(const uint8_t* stored, uint8_t* out) {
    for (uint32_t i = 0; i < kBlock; i += 16)
      _mm256_store_si256(reinterpret_cast<__m256i*>(out + 2 * i), load(stored + i));
  }
  static __m256i load_wide(const uint8_t* widened) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(widened));
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
  static __m256 to_float(__m256i sum) { return _mm256_cvtepi32_ps(sum); }

  static float largest(const float* values) { return largest_magnitude(values); }
  static int32_t quantize(const float* values, float inverse, int16_t* codes) {
    for (uint32_t i = 0; i < kBlock; i += 16) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes + i), sixteen_codes(values + i, inverse));
    }
    return 0;  // only wanted where weights are flipped
  }
};

}  // namespace

constinit const LinearKernels kQ8_0Linear = SimdLinearQ8<Dot>::kernels();

}  // namespace stonechat::avx2
