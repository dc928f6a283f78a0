// The table for client processors with AVX-VNNI but no AVX-512: products with integer codes, weights and
// cached ones, by VPDPBUSD in 256 bits (see avx512_linear_codes.cc, avx512_wide_dots.h); the rest is that of
// avx2.
#include "base/cpu_feature_bits.h"
#include "kernels/avx2_limits.h"
#include "kernels/avx2_parts.h"
#include "kernels/avx2_quantize.h"
#include "kernels/avx2_word_dots.h"
#include "kernels/simd_attention.h"
#include "kernels/simd_linear_codes.h"
#include "kernels/tables.h"

namespace stonechat {
namespace avx2 {
namespace {

struct VnniDot : UnsignedCodes {
  static __m256i begin(const void* start) { return broadcast(start); }
  static __m256i add(__m256i sum, __m256i weights, __m256i x) {
    return _mm256_dpbusd_avx_epi32(sum, weights, x);
  }
  static __m256 to_float(__m256i sum, const void*) { return _mm256_cvtepi32_ps(sum); }
};

constinit const LinearKernels kQ8_0LinearVnni = SimdLinearCodes<VnniDot, FormatQ8_0>::kernels();
constinit const LinearKernels kQ8RowLinearVnni = SimdLinearCodes<VnniDot, FormatQ8Row>::kernels();
constinit const LinearKernels kQ4_0LinearVnni = SimdLinearCodes<VnniDot, FormatQ4_0>::kernels();

struct VnniPairs {
  static void add_pairs(__m256i& sum, __m256i a, __m256i b) {
    asm("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
  }
};

// As in avx512_wide_dots.h, with vectors of 256 bits.
struct VnniWideDots : WideCodeDots {
  using Simd = avx2::Simd;
  using Words = WordDots<VnniPairs>;
  static constexpr uint32_t kRows = 3;  // 12 sums, 2 operands
  struct Sum {
    __m256i high, low;
  };
  struct Keys {
    __m256i codes;
  };
  struct Values {
    __m256i codes;
  };
  struct Query {
    __m256i high, low;
  };
  struct Weight {
    __m256i high, low;
  };

  static Sum zero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  static int32_t put_query(__m256 scaled, uint8_t* row, uint32_t depth, uint32_t first) {
    const __m256i code = _mm256_cvtps_epi32(scaled);
    const __m256i high = _mm256_srai_epi32(_mm256_add_epi32(code, _mm256_set1_epi32(64)), 7);
    put_digits(high, _mm256_sub_epi32(code, _mm256_slli_epi32(high, 7)), row, depth, first);
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(code), _mm256_extracti128_si256(code, 1));
    sum = _mm_hadd_epi32(sum, sum);
    return _mm_cvtsi128_si32(_mm_hadd_epi32(sum, sum));
  }
  static void put_weights(const __m256 (&scaled)[8], uint8_t* row) {
    for (uint32_t v = 0; v < 8; ++v) {
      const __m256i code = _mm256_cvtps_epi32(scaled[v]);
      const __m256i low = _mm256_and_si256(code, _mm256_set1_epi32(127));
      put_digits(_mm256_srli_epi32(code, 7), low, row, kKeyStep, v * Simd::kLanes);
    }
  }
  static Keys load_keys(const int8_t* p) { return {_mm256_xor_si256(load(p), _mm256_set1_epi8(-128))}; }
  static Values load_values(const int8_t* p) { return {load(p)}; }
  static Query query(const uint8_t* row, uint32_t depth, uint32_t first) {
    return {four(row + first), four(row + depth + first)};
  }
  static Weight weight(const uint8_t* row, uint32_t depth, uint32_t first) {
    return {four(row + first), four(row + depth + first)};
  }
  static void add(Sum& sum, const Keys& keys, const Query& query) {
    sum.high = _mm256_dpbusd_avx_epi32(sum.high, keys.codes, query.high);
    sum.low = _mm256_dpbusd_avx_epi32(sum.low, keys.codes, query.low);
  }
  static void add(Sum& sum, const Values& values, const Weight& weight) {
    sum.high = _mm256_dpbusd_avx_epi32(sum.high, weight.high, values.codes);
    sum.low = _mm256_dpbusd_avx_epi32(sum.low, weight.low, values.codes);
  }
  static __m256 to_float(const Sum& sum) { return _mm256_cvtepi32_ps(whole(sum)); }
  static __m256 to_float(const Sum& sum, int32_t query_sum) {
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(whole(sum), _mm256_set1_epi32(128 * query_sum)));
  }

 private:
  static __m256i load(const int8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static void put_digits(__m256i high, __m256i low, uint8_t* row, uint32_t depth, uint32_t first) {
    const __m256i words = _mm256_packs_epi32(high, low);  // high 0-3, low 0-3, high 4-7, low 4-7
    const __m256i bytes = _mm256_packs_epi16(_mm256_permute4x64_epi64(words, 0b11'01'10'00), words);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(row + first), _mm256_castsi256_si128(bytes));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(row + depth + first), _mm256_extracti128_si256(bytes, 1));
  }
  static __m256i four(const uint8_t* codes) {
    int32_t bits;
    memcpy(&bits, codes, sizeof bits);
    return _mm256_set1_epi32(bits);
  }
  static __m256i whole(const Sum& sum) { return _mm256_add_epi32(_mm256_slli_epi32(sum.high, 7), sum.low); }
};

constinit const AttentionKernels kAttentionVnni = SimdAttention<VnniWideDots>::kernels();

struct VnniOperations : LimitOperations {
  static constexpr uint32_t kProducts = 32;
  static constexpr uint32_t kIntegerSums = 12;

  static __m256i codes(int8_t value) { return _mm256_set1_epi8(value); }
  static Integers add_products(Integers sum, __m256i a, __m256i b) {
    return reinterpret_cast<Integers>(_mm256_dpbusd_avx_epi32(reinterpret_cast<__m256i>(sum), a, b));
  }
};

constinit const LimitKernels kLimitsVnni = SimdLimits<VnniOperations>::kernels();

}  // namespace
}  // namespace avx2

constinit const KernelTable kAvxVnniKernels = {
    "avx_vnni",
    kCpuAvx2Fma | kCpuAvxVnni,
    {nullptr, nullptr, nullptr, &avx2::kQ8_0LinearVnni, &avx2::kQ8RowLinearVnni, &avx2::kQ4_0LinearVnni},
    &avx2::kAttentionVnni,
    nullptr,
    nullptr,
    &avx2::kLimitsVnni,
};

}  // namespace stonechat
