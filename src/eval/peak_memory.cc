#include "eval/peak_memory.h"

#include <sys/resource.h>

#include <fstream>
#include <string>

namespace stonechat {

uint64_t peak_resident_bytes() {
  // Linux's getrusage() also counts what the process was before it became this program.
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    uint64_t kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib * 1024;
  }
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss);  // bytes on macOS
}

}  // namespace stonechat
