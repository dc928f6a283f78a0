// Norm, rotation, SiLU and conversion, 8 values at a time.
#include <math.h>

#include "kernels/avx2_parts.h"

namespace stonechat::avx2 {
namespace {

void rms_norm(const float* x, const float* weight, float epsilon, uint32_t cols, float* out) noexcept {
  // The 16 partial sums of the definition.
  __m256 low = _mm256_setzero_ps();
  __m256 high = _mm256_setzero_ps();
  for (uint32_t i = 0; i < cols; i += 2 * kLanes) {
    const __m256 first = _mm256_loadu_ps(x + i);
    const __m256 second = _mm256_loadu_ps(x + i + kLanes);
    low = _mm256_fmadd_ps(first, first, low);
    high = _mm256_fmadd_ps(second, second, high);
  }
  const __m256 squares = _mm256_add_ps(low, high);
  const __m256 scale = _mm256_set1_ps(1.0F / sqrtf(tree_sum(squares) / static_cast<float>(cols) + epsilon));
  for (uint32_t i = 0; i < cols; i += kLanes) {
    const __m256 scaled = _mm256_mul_ps(_mm256_loadu_ps(x + i), scale);
    _mm256_storeu_ps(out + i, _mm256_mul_ps(scaled, _mm256_loadu_ps(weight + i)));
  }
}

void rope(float* x, uint32_t heads, uint32_t head_dim, const float* cosine, const float* sine) noexcept {
  const uint32_t half = head_dim / 2;
  for (uint32_t head = 0; head < heads; ++head, x += head_dim) {
    for (uint32_t i = 0; i < half; i += kLanes) {
      const __m256 a = _mm256_loadu_ps(x + i);
      const __m256 b = _mm256_loadu_ps(x + half + i);
      const __m256 c = _mm256_loadu_ps(cosine + i);
      const __m256 s = _mm256_loadu_ps(sine + i);
      _mm256_storeu_ps(x + i, _mm256_sub_ps(_mm256_mul_ps(a, c), _mm256_mul_ps(b, s)));
      _mm256_storeu_ps(x + half + i, _mm256_add_ps(_mm256_mul_ps(b, c), _mm256_mul_ps(a, s)));
    }
  }
}

void silu_multiply(const float* gate, const float* up, uint32_t count, float* out) noexcept {
  const __m256 one = _mm256_set1_ps(1.0F);
  for (uint32_t i = 0; i < count; i += kLanes) {
    const __m256 g = _mm256_loadu_ps(gate + i);
    const __m256 minus_g = _mm256_xor_ps(g, _mm256_set1_ps(-0.0F));
    const __m256 silu = _mm256_div_ps(g, _mm256_add_ps(one, exp_shared(minus_g)));
    _mm256_storeu_ps(out + i, _mm256_mul_ps(silu, _mm256_loadu_ps(up + i)));
  }
}

void to_half(const float* x, uint32_t count, uint16_t* out) noexcept {
  for (uint32_t i = 0; i < count; i += kLanes) {
    const __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), half);
  }
}

}  // namespace

constinit const VectorKernels kVector = {rms_norm, rope, silu_multiply, to_half};

}  // namespace stonechat::avx2
