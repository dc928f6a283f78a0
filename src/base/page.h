// How large a page of memory is: 4 kB, but 16 or 64 kB with some Arm kernels.
#pragma once

#include <unistd.h>

#include <cstddef>

namespace stonechat {

inline size_t page_bytes() {
  return static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace stonechat
