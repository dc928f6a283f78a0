#include "eval/peak_memory.h"

#include <sys/resource.h>

namespace stonechat {

uint64_t peak_resident_bytes() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
#if defined(__APPLE__)
  return static_cast<uint64_t>(usage.ru_maxrss);
#else
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;  // Linux counts in KiB
#endif
}

}  // namespace stonechat
