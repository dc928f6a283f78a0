// The table for x86 with AVX-512 and VNNI; its functions are in the avx512_* sources.
#include "base/cpu_feature_bits.h"
#include "kernels/avx512_parts.h"
#include "kernels/tables.h"

namespace stonechat {

constinit const KernelTable kAvx512VnniKernels = {
    "avx512_vnni",
    kCpuAvx2Fma | kCpuAvx512Vnni,
    {&avx512::kF32Linear, &avx512::kF16Linear, &avx512::kBf16Linear, &avx512::kQ8_0Linear,
     &avx512::kQ8RowLinear, &avx512::kQ4_0Linear},
    &avx512::kAttention,
    &avx512::kVector,
    &avx512::kTensorScale,
    &avx512::kLimits,
};

}  // namespace stonechat
