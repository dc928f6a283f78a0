#include "base/cpu_features.h"

#include <fmt/format.h>
#include <sched.h>

#include <fstream>
#include <string>
#include <string_view>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace stonechat {
namespace {

#if defined(__x86_64__)
// CPUID leaf 7, subleaf 1, EAX bit 4; older compilers can't ask for it by name. It works on the registers of
// AVX2, so it needs no more of the operating system.
bool has_avx_vnni() {
  uint32_t eax = 0;
  uint32_t ebx = 0;
  uint32_t ecx = 0;
  uint32_t edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & (1U << 4)) != 0;
}

// CPUID leaf 7, EDX bits 24 (tiles) and 25 (products of bytes). A process must ask Linux for the tiles' state
// before it uses them (Documentation/arch/x86/xstate.rst); all of its threads may then.
bool has_amx_int8() {
#if defined(__linux__)
  uint32_t eax = 0;
  uint32_t ebx = 0;
  uint32_t ecx = 0;
  uint32_t edx = 0;
  constexpr uint32_t kBits = 3U << 24;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & kBits) != kBits) return false;
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}
#endif

// The cores of Arm's own by their number in MIDR_EL1, PartNum.
std::string arm_core(const std::string& part) {
  struct Core {
    std::string_view part;
    const char* name;
  };
  constexpr Core kCores[] = {
      {"0xd03", "Cortex-A53"},  {"0xd04", "Cortex-A35"},  {"0xd05", "Cortex-A55"},  {"0xd07", "Cortex-A57"},
      {"0xd08", "Cortex-A72"},  {"0xd09", "Cortex-A73"},  {"0xd0a", "Cortex-A75"},  {"0xd0b", "Cortex-A76"},
      {"0xd0c", "Neoverse-N1"}, {"0xd0d", "Cortex-A77"},  {"0xd40", "Neoverse-V1"}, {"0xd41", "Cortex-A78"},
      {"0xd44", "Cortex-X1"},   {"0xd46", "Cortex-A510"}, {"0xd47", "Cortex-A710"}, {"0xd48", "Cortex-X2"},
      {"0xd49", "Neoverse-N2"}, {"0xd4d", "Cortex-A715"}, {"0xd4e", "Cortex-X3"},   {"0xd4f", "Neoverse-V2"},
      {"0xd80", "Cortex-A520"}, {"0xd81", "Cortex-A720"}, {"0xd82", "Cortex-X4"},   {"0xd84", "Neoverse-V3"},
      {"0xd8e", "Neoverse-N3"},
  };
  for (const Core& core : kCores) {
    if (core.part == part) return core.name;
  }
  return part;
}

}  // namespace

uint32_t cpu_features() {
  uint32_t features = 0;
#if defined(__x86_64__)
  // Every processor with AVX2 and FMA has F16C, which older compilers can't ask for.
  // The compiler's built-ins also ask whether the operating system saves the wide registers.
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    features |= kCpuAvx2Fma;
    if (has_avx_vnni()) features |= kCpuAvxVnni;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vnni")) {
      features |= kCpuAvx512Vnni;
      if (has_amx_int8()) features |= kCpuAmxInt8;
    }
  }
#elif defined(__aarch64__)
  features |= kCpuNeon;
#if defined(__linux__)
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0) features |= kCpuNeonDotprod;
  if ((getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0) features |= kCpuNeonI8mm;
#endif
#endif
  return features;
}

std::string cpu_name(const std::string& cpuinfo) {
  std::ifstream file(cpuinfo);
  bool of_arm = false;
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (colon == std::string::npos) continue;
    const std::string value = line.substr(colon + 2);
    if (line.starts_with("CPU implementer")) of_arm = value == "0x41";
    if (line.starts_with("model name")) return value;
    if (line.starts_with("CPU part")) return of_arm ? arm_core(value) : value;
  }
  return "unknown CPU";
}

std::string processor_set() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (::sched_getaffinity(0, sizeof mask, &mask) != 0) return "unknown";
  std::string ranges;
  for (int first = 0; first < CPU_SETSIZE; ++first) {
    if (!CPU_ISSET(first, &mask)) continue;
    int last = first;
    while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, &mask)) ++last;
    if (!ranges.empty()) ranges += ',';
    ranges += first == last ? std::to_string(first) : fmt::format("{}-{}", first, last);
    first = last;
  }
  return ranges;
}

}  // namespace stonechat
