// The table for x86 with AVX2, FMA and F16C; its functions are in the avx2_* sources.
#include "base/cpu_feature_bits.h"
#include "kernels/avx2_parts.h"
#include "kernels/tables.h"

namespace stonechat {

constinit const KernelTable kAvx2Kernels = {
    "avx2",
    kCpuAvx2Fma,
    {&avx2::kF32Linear, &avx2::kF16Linear, &avx2::kBf16Linear, &avx2::kQ8_0Linear, &avx2::kQ8RowLinear,
     &avx2::kQ4_0Linear},
    &avx2::kAttention,
    &avx2::kVector,
    &avx2::kTensorScale,
    &avx2::kLimits,
};

}  // namespace stonechat
