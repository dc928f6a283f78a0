// Arithmetic on sizes that came from outside. Each function returns false on overflow and leaves `result`
// alone; the caller knows which field to name in its error.
#pragma once

#include <cstdint>

namespace stonechat {

[[nodiscard]] inline bool checked_add(uint64_t a, uint64_t b, uint64_t& result) {
  uint64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) return false;
  result = sum;
  return true;
}

[[nodiscard]] inline bool checked_multiply(uint64_t a, uint64_t b, uint64_t& result) {
  uint64_t product;
  if (__builtin_mul_overflow(a, b, &product)) return false;
  result = product;
  return true;
}

// Rounds up to a multiple of `alignment` (not 0).
[[nodiscard]] inline bool checked_align(uint64_t value, uint64_t alignment, uint64_t& result) {
  uint64_t padded;
  if (!checked_add(value, alignment - 1, padded)) return false;
  result = padded - padded % alignment;
  return true;
}

// For sizes of our own making, known to be small.
constexpr uint64_t ceil_div(uint64_t value, uint64_t divisor) {
  return (value + divisor - 1) / divisor;
}
constexpr uint64_t round_up(uint64_t value, uint64_t multiple) {
  return ceil_div(value, multiple) * multiple;
}

}  // namespace stonechat
