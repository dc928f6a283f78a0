#include "kernels/scalar_limits.h"

#include <math.h>
#include <string.h>

namespace stonechat {
namespace {

constexpr uint32_t kValues = 1024;  // of two vectors that stay in the first-level cache

// Makes the compiler forget what memory holds, so that no pass can be taken for the one before.
void forget(const void* memory) noexcept {
  asm volatile("" : : "r"(memory) : "memory");
}

uint64_t integer_products(uint64_t passes, int8_t a, int8_t b, uint32_t* sum) noexcept {
  int8_t left[kValues];
  int8_t right[kValues];
  memset(left, a, sizeof left);
  memset(right, b, sizeof right);
  uint32_t total = 0;
  for (uint64_t pass = 0; pass < passes; ++pass) {
    forget(left);
    int32_t dot = 0;
    for (uint32_t i = 0; i < kValues; ++i) dot += left[i] * right[i];
    total += static_cast<uint32_t>(dot);
  }
  *sum = total;
  return passes * kValues;
}

uint64_t float_products(uint64_t passes, float a, float b, float* sum) noexcept {
  float left[kValues];
  float sums[kValues] = {};
  for (float& value : left) value = a;
  for (uint64_t pass = 0; pass < passes; ++pass) {
    forget(left);
    for (uint32_t i = 0; i < kValues; ++i) sums[i] = fmaf(left[i], b, sums[i]);
  }
  float total = 0;
  for (const float value : sums) total += value;
  *sum = total;
  return passes * kValues;
}

uint32_t read(const void* data, size_t bytes, size_t /*ahead*/) noexcept {
  const auto* words = static_cast<const uint32_t*>(data);
  uint32_t total = 0;
  for (size_t i = 0; i < bytes / sizeof *words; ++i) total += words[i];
  return total;
}

}  // namespace

constinit const LimitKernels kScalarLimits = {integer_products, float_products, read};

}  // namespace stonechat
