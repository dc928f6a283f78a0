// Kernels for Arm+SMMLA.
#include "base/cpu_features.h"
#include "kernels/tables.h"

namespace stonechat {

constinit const KernelTable kNeonI8mmKernels = {"neon_i8mm", kCpuNeonI8mm, {}, {}, {}};

}  // namespace stonechat
