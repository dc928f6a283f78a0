// The processor features that kernels may need. Includes C headers only (see kernels/kernel_table.h).
#pragma once

#include <stdint.h>

namespace stonechat {

// One bit a feature that a kernel table may need. A table needs all of its bits.
enum CpuFeature : uint32_t {
  kCpuAvx2Fma = 1U << 0,      // AVX2, FMA, F16C, usable under this operating system
  kCpuAvxVnni = 1U << 1,      // VEX-encoded VNNI of client processors
  kCpuAvx512Vnni = 1U << 2,   // AVX-512 F, BW, VL, DQ and VNNI
  kCpuAmxInt8 = 1U << 6,      // AMX tiles and TDPBSSD, which the operating system lets us use
  kCpuNeon = 1U << 3,         // Armv8.0 Advanced SIMD
  kCpuNeonDotprod = 1U << 4,  // SDOT, UDOT
  kCpuNeonI8mm = 1U << 5,     // SMMLA
};

}  // namespace stonechat
