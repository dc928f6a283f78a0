// int8 matrix with one scale times FP32 vector, with AVX-512.
#include "kernels/avx512_parts.h"
#include "kernels/simd_gemv_q8t.h"

namespace stonechat::avx512 {
namespace {

struct Codes {
  static __m128i load(const int8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }

  // Four rows by four groups of four columns, transposed.
  static void widen(const int8_t* const* rows, uint32_t col, __m512 (&out)[4]) {
    const __m128i first = load(rows[0] + col);
    const __m128i second = load(rows[1] + col);
    const __m128i third = load(rows[2] + col);
    const __m128i fourth = load(rows[3] + col);
    const __m128i low_first = _mm_unpacklo_epi32(first, second);
    const __m128i low_second = _mm_unpacklo_epi32(third, fourth);
    const __m128i high_first = _mm_unpackhi_epi32(first, second);
    const __m128i high_second = _mm_unpackhi_epi32(third, fourth);
    out[0] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_unpacklo_epi64(low_first, low_second)));
    out[1] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_unpackhi_epi64(low_first, low_second)));
    out[2] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_unpacklo_epi64(high_first, high_second)));
    out[3] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_unpackhi_epi64(high_first, high_second)));
  }

  static __m512 broadcast_four(const float* x) { return _mm512_broadcast_f32x4(_mm_loadu_ps(x)); }
};

}  // namespace

constinit const TensorScaleKernels kTensorScale = {SimdGemvQ8t<Simd, Codes>::gemv_f32_f32_q8t};

}  // namespace stonechat::avx512
