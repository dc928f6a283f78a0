// Kernels for Armv8.0.
#include "base/cpu_feature_bits.h"
#include "kernels/tables.h"

namespace stonechat {

constinit const KernelTable kNeonKernels = {"neon", kCpuNeon, {}, {}, {}};

}  // namespace stonechat
