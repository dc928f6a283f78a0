// What the kernel tests share: the tables that this machine runs, random values with a printed seed, aligned
// memory.
#pragma once

#include <gtest/gtest.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "kernels/dispatch.h"

namespace stonechat {

inline std::vector<std::string> supported_tables() {
  std::vector<std::string> names;
  for (const KernelTable* table : compiled_kernel_tables()) {
    if (is_supported(*table)) names.emplace_back(table->name);
  }
  return names;
}

inline std::string table_test_name(const testing::TestParamInfo<std::string>& info) {
  return info.param;
}

// One generator a test; its seed is in the test's output when it fails.
class Random {
 public:
  explicit Random(uint32_t seed)
      : trace_(__FILE__, __LINE__, "seed " + std::to_string(seed)), engine_(seed) {}
  float uniform(float low, float high) { return std::uniform_real_distribution<float>(low, high)(engine_); }
  int integer(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }
  std::vector<float> floats(size_t count, float magnitude) {
    std::vector<float> values(count);
    for (float& value : values) value = uniform(-magnitude, magnitude);
    return values;
  }

 private:
  testing::ScopedTrace trace_;
  std::mt19937 engine_;
};

// Calls a kernel, which must leave the upper parts of x86's vector registers and the tiles clear: else code
// for older processors, such as libm's, runs several times slower afterwards. Where the processor doesn't
// tell (XGETBV with ECX = 1: components that aren't in their first state), nothing is checked.
template <typename Kernel, typename... Arguments>
void call_cleanly(Kernel kernel, Arguments... arguments) {
#if defined(__x86_64__)
  uint32_t eax = 0;
  uint32_t ebx = 0;
  uint32_t ecx = 0;
  uint32_t edx = 0;
  constexpr uint32_t kTellsUse = 1U << 2;
  const bool is_told = __builtin_cpu_supports("avx") != 0 &&
                       __get_cpuid_count(0xd, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & kTellsUse) != 0;
  const auto in_use = [] {
    constexpr uint32_t kUpperParts = 1U << 2 | 1U << 6, kTiles = 1U << 18;
    uint32_t low = 0;
    uint32_t high = 0;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
    return low & (kUpperParts | kTiles);
  };
  if (is_told) {
    asm volatile("vzeroupper");
    const uint32_t before = in_use();
    kernel(arguments...);
    EXPECT_EQ(in_use(), before);
    return;
  }
#endif
  kernel(arguments...);
}

inline uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

}  // namespace stonechat
