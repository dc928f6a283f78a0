// The table for Armv8.0; its functions are in the neon_* sources without an extension's name.
#include "base/cpu_feature_bits.h"
#include "kernels/neon_common.h"
#include "kernels/tables.h"

namespace stonechat {

constinit const KernelTable kNeonKernels = {
    "neon",
    kCpuNeon,
    {&neon::kF32Linear, &neon::kF16Linear, &neon::kBf16Linear, &neon::kQ8_0Linear, &neon::kQ8RowLinear,
     &neon::kQ4_0Linear},
    &neon::kAttention,
    &neon::kVector,
    &neon::kTensorScale,
    &neon::kLimits,
};

}  // namespace stonechat
