// The simd_* templates for AVX2: products with float weights, attention, row-wise steps.
#include "kernels/avx2_parts.h"
#include "kernels/avx2_word_dots.h"
#include "kernels/simd_attention.h"
#include "kernels/simd_linear_float.h"
#include "kernels/simd_vector.h"

namespace stonechat::avx2 {
namespace {

struct MultiplyAndAdd {
  static void add_pairs(__m256i& sum, __m256i a, __m256i b) {
    __m256i products;
    asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(a), "x"(b));
  }
};

// Wide codes as 16 bits, multiplied by VPMADDWD with keys and values that are widened to as many: two sums an
// output, four outputs a vector.
struct Dots : WideCodeDots {
  using Simd = avx2::Simd;
  using Words = WordDots<MultiplyAndAdd>;
  static constexpr uint32_t kRows = 3;  // 12 sums
  struct Sum {
    __m256i first, second;
  };
  struct Keys {
    __m256i first, second;
  };
  using Values = Keys;

  static Sum zero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  static int32_t put_query(__m256 scaled, uint8_t* row, uint32_t, uint32_t first) {
    Simd::store_words(reinterpret_cast<int16_t*>(row) + first, scaled);
    return 0;
  }
  static void put_weights(const __m256 (&scaled)[8], uint8_t* row) { Words::put_weights(scaled, row); }
  static Keys load_keys(const int8_t* p) { return {widen(p), widen(p + 16)}; }
  static Values load_values(const int8_t* p) { return load_keys(p); }
  static __m256i query(const uint8_t* row, uint32_t, uint32_t first) {
    int64_t four;
    memcpy(&four, row + size_t{2} * first, sizeof four);
    return _mm256_set1_epi64x(four);
  }
  static __m256i weight(const uint8_t* row, uint32_t depth, uint32_t first) {
    return query(row, depth, first);
  }
  static void add(Sum& sum, const Keys& keys, __m256i codes) {
    sum.first = _mm256_add_epi32(sum.first, _mm256_madd_epi16(keys.first, codes));
    sum.second = _mm256_add_epi32(sum.second, _mm256_madd_epi16(keys.second, codes));
  }
  static __m256 to_float(const Sum& sum, int32_t = 0) {
    const __m256i mixed = _mm256_hadd_epi32(sum.first, sum.second);  // outputs 0 1 4 5 2 3 6 7
    return _mm256_cvtepi32_ps(_mm256_permute4x64_epi64(mixed, 0b11'01'10'00));
  }

 private:
  static __m256i widen(const int8_t* p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
};

}  // namespace

constinit const LinearKernels kF32Linear = SimdLinearFloat<Simd, FormatF32<Simd>>::kernels();
constinit const LinearKernels kF16Linear = SimdLinearFloat<Simd, FormatF16<Simd>>::kernels();
constinit const LinearKernels kBf16Linear = SimdLinearFloat<Simd, FormatBf16<Simd>>::kernels();
constinit const AttentionKernels kAttention = SimdAttention<Dots>::kernels();
constinit const VectorKernels kVector = SimdVector<Simd>::kernels();

}  // namespace stonechat::avx2
