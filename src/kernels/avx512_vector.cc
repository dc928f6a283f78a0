// Norm, rotation, SiLU and conversion, 16 values at a time.
#include <math.h>

#include "kernels/avx512_parts.h"

namespace stonechat::avx512 {
namespace {

void rms_norm(const float* x, const float* weight, float epsilon, uint32_t cols, float* out) noexcept {
  __m512 squares = _mm512_setzero_ps();
  for (uint32_t i = 0; i < cols; i += kLanes) {
    const __m512 values = _mm512_loadu_ps(x + i);
    squares = _mm512_fmadd_ps(values, values, squares);
  }
  const __m512 scale = _mm512_set1_ps(1.0F / sqrtf(tree_sum(squares) / static_cast<float>(cols) + epsilon));
  for (uint32_t i = 0; i < cols; i += kLanes) {
    const __m512 scaled = _mm512_mul_ps(_mm512_loadu_ps(x + i), scale);
    _mm512_storeu_ps(out + i, _mm512_mul_ps(scaled, _mm512_loadu_ps(weight + i)));
  }
}

void rope(float* x, uint32_t heads, uint32_t head_dim, const float* cosine, const float* sine) noexcept {
  const uint32_t half = head_dim / 2;
  for (uint32_t head = 0; head < heads; ++head, x += head_dim) {
    for (uint32_t i = 0; i < half; i += kLanes) {
      const __m512 a = _mm512_loadu_ps(x + i);
      const __m512 b = _mm512_loadu_ps(x + half + i);
      const __m512 c = _mm512_loadu_ps(cosine + i);
      const __m512 s = _mm512_loadu_ps(sine + i);
      _mm512_storeu_ps(x + i, _mm512_sub_ps(_mm512_mul_ps(a, c), _mm512_mul_ps(b, s)));
      _mm512_storeu_ps(x + half + i, _mm512_add_ps(_mm512_mul_ps(b, c), _mm512_mul_ps(a, s)));
    }
  }
}

void silu_multiply(const float* gate, const float* up, uint32_t count, float* out) noexcept {
  const __m512 one = _mm512_set1_ps(1.0F);
  for (uint32_t i = 0; i < count; i += kLanes) {
    const __m512 g = _mm512_loadu_ps(gate + i);
    const __m512 minus_g = _mm512_xor_ps(g, _mm512_set1_ps(-0.0F));
    const __m512 silu = _mm512_div_ps(g, _mm512_add_ps(one, exp_shared(minus_g)));
    _mm512_storeu_ps(out + i, _mm512_mul_ps(silu, _mm512_loadu_ps(up + i)));
  }
}

void to_half(const float* x, uint32_t count, uint16_t* out) noexcept {
  for (uint32_t i = 0; i < count; i += kLanes) {
    const __m256i half = _mm512_cvtps_ph(_mm512_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), half);
  }
}

}  // namespace

constinit const VectorKernels kVector = {rms_norm, rope, silu_multiply, to_half};

}  // namespace stonechat::avx512
