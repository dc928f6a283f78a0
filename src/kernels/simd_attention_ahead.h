// How attention on x86 asks for what its next step will read of the cache, beside the products of this one.
//
// Always inlined, as the sources that include it are compiled for different processors, and as GCC 12 takes
// calls for useless that do nothing but ask.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_table.h"
#include "kernels/weight_streams.h"

namespace stonechat {

inline constexpr uint32_t kLineBytes = 64;
inline constexpr uint32_t kPageBytes = 4096;

// Whether what lies so many bytes behind a line's begin begins a line too.
[[gnu::always_inline]] inline constexpr bool begins_line(size_t bytes) {
  return bytes % kLineBytes == 0;
}

// Asks for the line that lies one step behind `at`, a place among a head's keys or values.
template <typename Number>
[[gnu::always_inline]] inline void ask_for_next_step(const Number* at, uint32_t head_dim) noexcept {
  __builtin_prefetch(at + size_t{kKeyStep} * head_dim, 0, kSecondLevel);
}

// Asks for the scales of the step behind the one from first_key on, and for a line of each of its pages: the
// many that ask_for_next_step() asks for then don't wait until the pages are found.
[[gnu::always_inline]] inline void ask_for_next_pages(const CachedHead& head, uint32_t first_key,
                                                      uint32_t head_dim) noexcept {
  const uint32_t next = first_key + kKeyStep;
  if (has_codes(head.format)) {
    for (uint32_t key = 0; key < kKeyStep; key += kLineBytes / sizeof(float))
      __builtin_prefetch(head.scales + next + key, 0, kSecondLevel);
  }
  const uint32_t key_bytes = head_dim * number_bytes(head.format);
  const char* data = static_cast<const char*>(head.data) + size_t{next} * key_bytes;
  for (uint32_t byte = 0; byte < kKeyStep * key_bytes; byte += kPageBytes)
    __builtin_prefetch(data + byte, 0, kSecondLevel);
}

}  // namespace stonechat
