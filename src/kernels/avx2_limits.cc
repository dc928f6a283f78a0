// Limits of AVX2: VPMADDWD and an addition for 16 integer multiply-adds, as in avx2_linear_codes.cc.
#include "kernels/avx2_limits.h"

namespace stonechat::avx2 {
namespace {

struct Operations : LimitOperations {
  static constexpr uint32_t kProducts = 16;
  static constexpr uint32_t kIntegerSums = 8;

  static __m256i codes(int8_t value) { return _mm256_set1_epi16(value); }
  static Integers add_products(Integers sum, __m256i a, __m256i b) {
    return sum + reinterpret_cast<Integers>(_mm256_madd_epi16(a, b));
  }
};

}  // namespace

constinit const LimitKernels kLimits = SimdLimits<Operations>::kernels();

}  // namespace stonechat::avx2
