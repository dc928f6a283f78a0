// Limits of AVX-512: VPDPBUSD for 64 integer multiply-adds.
#include "kernels/avx512_parts.h"
#include "kernels/simd_limits.h"

namespace stonechat::avx512 {
namespace {

struct Operations {
  using Floats = __m512;
  using Integers [[gnu::vector_size(64)]] = int32_t;
  using Codes = __m512i;
  static constexpr uint32_t kProducts = 64;
  static constexpr uint32_t kIntegerSums = 16;
  static constexpr uint32_t kFloatSums = 16;

  static __m512i codes(int8_t value) { return _mm512_set1_epi8(value); }
  static Integers add_products(Integers sum, __m512i a, __m512i b) {
    return reinterpret_cast<Integers>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sum), a, b));
  }
  static __m512 broadcast(float value) { return _mm512_set1_ps(value); }
  static __m512 fma(__m512 a, __m512 b, __m512 sum) { return _mm512_fmadd_ps(a, b, sum); }
  static void hide(__m512& value) { asm volatile("" : "+v"(value)); }
  static void hide(__m512i& value) { asm volatile("" : "+v"(value)); }
};

}  // namespace

constinit const LimitKernels kLimits = SimdLimits<Operations>::kernels();

}  // namespace stonechat::avx512
