// Limits of Armv8.0: SMULL, SMLAL and SADALP for 16 integer multiply-adds, as in neon_linear_codes.cc.
#include "kernels/neon_limits.h"

namespace stonechat::neon {
namespace {

struct Operations : LimitOperations {
  static constexpr uint32_t kProducts = 16;
  static int32x4_t add_products(int32x4_t sum, int8x16_t a, int8x16_t b) {
    const int16x8_t first = vmull_s8(vget_low_s8(a), vget_low_s8(b));
    return vpadalq_s16(sum, vmlal_high_s8(first, a, b));
  }
};

}  // namespace

constinit const LimitKernels kLimits = SimdLimits<Operations>::kernels();

}  // namespace stonechat::neon
