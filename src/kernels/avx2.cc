// Kernels for x86 with AVX2, FMA and F16C.
#include "base/cpu_feature_bits.h"
#include "kernels/tables.h"

namespace stonechat {

constinit const KernelTable kAvx2Kernels = {"avx2", kCpuAvx2Fma, {}, {}, {}};

}  // namespace stonechat
