// Kernels for Arm+SMMLA.
#include "base/cpu_feature_bits.h"
#include "kernels/tables.h"

namespace stonechat {

constinit const KernelTable kNeonI8mmKernels = {"neon_i8mm", kCpuNeonI8mm, {}, {}, {}};

}  // namespace stonechat
