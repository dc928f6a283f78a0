// Kernels for x86 with AVX-512 and VNNI.
#include "base/cpu_feature_bits.h"
#include "kernels/tables.h"

namespace stonechat {

constinit const KernelTable kAvx512VnniKernels = {"avx512_vnni", kCpuAvx2Fma | kCpuAvx512Vnni, {}, {}, {}};

}  // namespace stonechat
