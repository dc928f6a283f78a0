// How much memory this process has now: as a whole, and by the parts of base/memory_parts.h.
//
// Read from /proc, so complete on Linux only; what a system doesn't tell is absent, never 0. Bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory_parts.h"

namespace stonechat {

struct ProcessMemory {
  uint64_t rss = 0;                   // resident
  std::optional<uint64_t> pss;        // resident, pages that several processes share divided among them
  std::optional<uint64_t> anonymous;  // of rss: not of files

  // Of rss: of files, that is, of the program, its libraries and mapped models.
  std::optional<uint64_t> file() const {
    return anonymous ? std::optional(rss > *anonymous ? rss - *anonymous : 0) : std::nullopt;
  }
};

// The text of /proc/PID/smaps_rollup; nothing where Rss, Pss or Anonymous is missing or no number.
std::optional<ProcessMemory> parse_smaps_rollup(std::string_view text);
// The text of /proc/PID/statm, numbers of pages.
std::optional<ProcessMemory> parse_statm(std::string_view text, uint64_t page_bytes);

// Reads the process's memory again and again; the files stay open.
class ProcessMemoryReader {
 public:
  ProcessMemoryReader();
  ~ProcessMemoryReader();
  ProcessMemoryReader(const ProcessMemoryReader&) = delete;
  ProcessMemoryReader& operator=(const ProcessMemoryReader&) = delete;

  // From smaps_rollup; where that isn't there from statm, without pss; where no /proc is, the most that was
  // resident so far.
  ProcessMemory read() const;

 private:
  int rollup_ = -1;
  int statm_ = -1;
};

// A mapping of /proc/PID/smaps.
struct Mapping {
  uintptr_t begin = 0;
  uintptr_t end = 0;
  uint64_t pss = 0;
  uint64_t rss = 0;  // 0 where it isn't told
};

// Mappings with pages in memory, by ascending address. Lines that can't be read are passed over.
std::vector<Mapping> parse_smaps(std::string_view text);

// The proportional share (PSS) of mappings by part. Where several ranges lie in one mapping, or a range takes
// a part of it, its bytes go to them as their pages in memory do; `pages(begin, end)` counts these. What no
// range takes is `other`.
using PageCount = std::function<uint64_t(uintptr_t begin, uintptr_t end)>;
MemoryByPart split_by_part(std::span<const Mapping> mappings, std::span<const MemoryRange> ranges,
                           const PageCount& pages);

// Of this process, now. Takes some milliseconds. Nothing where the system doesn't tell.
std::optional<MemoryByPart> measure_memory_parts();

// What of the code at `address` isn't resident yet: the rest of its mapping. 0 where no mapping is known.
uint64_t absent_code_bytes(std::span<const Mapping> mappings, uintptr_t address);
// Of this program.
uint64_t absent_code_bytes();

// The most that was resident so far.
uint64_t peak_resident_bytes();

}  // namespace stonechat
