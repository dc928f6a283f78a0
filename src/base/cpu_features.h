// What the processor that runs us can do, and what it is called.
#pragma once

#include <cstdint>
#include <string>

#include "base/cpu_feature_bits.h"

namespace stonechat {

// The features of this machine, a union of CpuFeature bits.
uint32_t cpu_features();

// "AMD EPYC 9755", "Neoverse-N2", or "unknown CPU". On Arm, Linux gives a number; that of a core that isn't
// known is the name, "0x0a1".
std::string cpu_name(const std::string& cpuinfo = "/proc/cpuinfo");

// The processors in this process's affinity mask, as Linux lists them: "0-3,8". "unknown" where there is no
// such mask.
std::string processor_set();

}  // namespace stonechat
