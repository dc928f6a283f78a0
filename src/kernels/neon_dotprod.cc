// Kernels for Arm+SDOT.
#include "base/cpu_features.h"
#include "kernels/tables.h"

namespace stonechat {

constinit const KernelTable kNeonDotprodKernels = {"neon_dotprod", kCpuNeonDotprod, {}, {}, {}};

}  // namespace stonechat
