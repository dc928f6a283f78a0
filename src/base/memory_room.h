// How much more memory this process may take before the system has to swap or to end it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace stonechat {

struct MemoryRoom {
  uint64_t bytes = 0;
  std::string source;  // part of a sentence: "the system has 23695 MB left (/proc/meminfo: MemAvailable)"
};

// Where the system tells it.
struct MemoryFiles {
  std::string meminfo = "/proc/meminfo";
  std::string membership = "/proc/self/cgroup";
  std::string mount = "/sys/fs/cgroup";
};

// The least of what the system as a whole and the control groups of this process and those above it leave:
// what is free, what is cached of files and can be given up (the file of a model that was just read, say),
// and free swap. Reads meminfo (MemAvailable, SwapFree) and, of version 2, memory.max, memory.current,
// memory.stat, memory.swap.max, memory.swap.current; of version 1, memory.limit_in_bytes,
// memory.usage_in_bytes, memory.stat. Files that are absent or no numbers limit nothing; nothing where none
// does.
std::optional<MemoryRoom> memory_room(const MemoryFiles& files = {});

}  // namespace stonechat
