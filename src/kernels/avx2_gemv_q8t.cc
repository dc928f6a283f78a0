// int8 matrix with one scale times FP32 vector, with AVX2.
#include "kernels/avx2_parts.h"
#include "kernels/simd_gemv_q8t.h"

namespace stonechat::avx2 {
namespace {

struct Codes {
  static __m128i load(const int8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }

  static void widen(const int8_t* const* rows, uint32_t col, __m256 (&out)[4]) {
    const __m128i first = load(rows[0] + col);
    const __m128i second = load(rows[1] + col);
    const __m128i low = _mm_unpacklo_epi32(first, second);
    const __m128i high = _mm_unpackhi_epi32(first, second);
    out[0] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(low));
    out[1] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(low, low)));
    out[2] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(high));
    out[3] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(high, high)));
  }

  static __m256 broadcast_four(const float* x) {
    return _mm256_broadcast_ps(reinterpret_cast<const __m128*>(x));
  }
};

}  // namespace

constinit const TensorScaleKernels kTensorScale = {SimdGemvQ8t<Simd, Codes>::gemv_f32_f32_q8t};

}  // namespace stonechat::avx2
