// What the kernel tests share: the tables that this machine runs, random values with a printed seed, aligned
// memory.
#pragma once

#include <gtest/gtest.h>

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

inline uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

}  // namespace stonechat
