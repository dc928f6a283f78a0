// Kernels for Arm+SDOT.
#include "base/cpu_feature_bits.h"
#include "kernels/tables.h"

namespace stonechat {

constinit const KernelTable kNeonDotprodKernels = {"neon_dotprod", kCpuNeonDotprod, {}, {}, {}};

}  // namespace stonechat
