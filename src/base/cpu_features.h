// What the processor that runs us can do, and what it is called.
#pragma once

#include <cstdint>
#include <string>

namespace stonechat {

// One bit a feature that a kernel table may need. A table needs all of its bits.
enum CpuFeature : uint32_t {
  kCpuAvx2Fma = 1U << 0,      // AVX2, FMA, F16C, usable under this operating system
  kCpuAvxVnni = 1U << 1,      // VEX-encoded VNNI of client processors
  kCpuAvx512Vnni = 1U << 2,   // AVX-512 F, BW, VL, DQ and VNNI
  kCpuNeon = 1U << 3,         // Armv8.0 Advanced SIMD
  kCpuNeonDotprod = 1U << 4,  // SDOT, UDOT
  kCpuNeonI8mm = 1U << 5,     // SMMLA
};

// The features of this machine, a union of CpuFeature bits.
uint32_t cpu_features();

// "AMD EPYC 9755", "Neoverse-N2", or "unknown CPU".
std::string cpu_name();

}  // namespace stonechat
