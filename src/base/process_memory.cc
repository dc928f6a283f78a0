#include "base/process_memory.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include "base/checked.h"
#include "base/page.h"

namespace stonechat {
namespace {

// A number at the beginning of `text`, which loses it.
template <typename T>
std::optional<T> take_number(std::string_view& text, int base) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

// Bytes of a line "KEY:   123 kB".
std::optional<uint64_t> kilobytes(std::string_view line, std::string_view key) {
  if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ':') return std::nullopt;
  line.remove_prefix(key.size() + 1);
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  const auto value = take_number<uint64_t>(line, 10);
  uint64_t bytes = 0;
  if (!value || line != " kB" || !checked_multiply(*value, 1024, bytes)) return std::nullopt;
  return bytes;
}

// The first line of a mapping: "55ce7f616000-55ce7f618000 r--p ...".
std::optional<Mapping> mapping_of(std::string_view line) {
  const auto begin = take_number<uintptr_t>(line, 16);
  if (!begin || !line.starts_with('-')) return std::nullopt;
  line.remove_prefix(1);
  const auto end = take_number<uintptr_t>(line, 16);
  if (!end || !line.starts_with(' ') || *end <= *begin) return std::nullopt;
  return Mapping{*begin, *end};
}

// The short text of an open file of /proc, in one read: the system makes the text anew for each.
std::string read_descriptor(int descriptor) {
  char buffer[4096];
  const ssize_t count = ::pread(descriptor, buffer, sizeof buffer, 0);
  return {buffer, static_cast<size_t>(std::max<ssize_t>(0, count))};
}

std::string read_path(const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Counts pages by /proc/self/pagemap, which has 64 bits for each.
class PageMap {
 public:
  PageMap() : descriptor_(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)) {}
  ~PageMap() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  PageMap(const PageMap&) = delete;
  PageMap& operator=(const PageMap&) = delete;

  bool is_open() const { return descriptor_ >= 0; }

  // Pages in memory that are this process's alone. (What was only read and never written is the one page of
  // zeros that all processes share: it takes no memory.)
  uint64_t count(uintptr_t begin, uintptr_t end) const {
    constexpr uint64_t kPresentAndExclusive = uint64_t{1} << 63 | uint64_t{1} << 56;
    uint64_t pages = 0;
    std::vector<uint64_t> entries(4096);
    for (uint64_t page = begin / page_bytes_, last = ceil_div(end, page_bytes_); page < last;) {
      const uint64_t wanted = std::min<uint64_t>(entries.size(), last - page);
      const ssize_t bytes = ::pread(descriptor_, entries.data(), wanted * sizeof(uint64_t),
                                    static_cast<off_t>(page * sizeof(uint64_t)));
      if (bytes <= 0) break;
      const auto got = static_cast<uint64_t>(bytes) / sizeof(uint64_t);
      pages += static_cast<uint64_t>(std::count_if(
          entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(got),
          [](uint64_t entry) { return (entry & kPresentAndExclusive) == kPresentAndExclusive; }));
      page += got;
    }
    return pages;
  }

 private:
  int descriptor_;
  const uint64_t page_bytes_ = page_bytes();
};

}  // namespace

std::optional<ProcessMemory> parse_smaps_rollup(std::string_view text) {
  std::optional<uint64_t> rss;
  std::optional<uint64_t> pss;
  std::optional<uint64_t> anonymous;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (const auto bytes = kilobytes(line, "Rss")) rss = bytes;
    if (const auto bytes = kilobytes(line, "Pss")) pss = bytes;
    if (const auto bytes = kilobytes(line, "Anonymous")) anonymous = bytes;
  }
  if (!rss || !pss || !anonymous) return std::nullopt;
  return ProcessMemory{*rss, pss, anonymous};
}

std::optional<ProcessMemory> parse_statm(std::string_view text, uint64_t page_bytes) {
  uint64_t pages[3] = {};  // size, resident, shared
  for (uint64_t& count : pages) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    const auto number = take_number<uint64_t>(text, 10);
    if (!number || !checked_multiply(*number, page_bytes, count)) return std::nullopt;
  }
  if (pages[2] > pages[1]) return std::nullopt;
  return ProcessMemory{pages[1], std::nullopt, pages[1] - pages[2]};
}

ProcessMemoryReader::ProcessMemoryReader()
    : rollup_(::open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC)),
      statm_(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC)) {}

ProcessMemoryReader::~ProcessMemoryReader() {
  for (const int descriptor : {rollup_, statm_}) {
    if (descriptor >= 0) ::close(descriptor);
  }
}

ProcessMemory ProcessMemoryReader::read() const {
  if (const auto memory = parse_smaps_rollup(read_descriptor(rollup_))) return *memory;
  if (const auto memory = parse_statm(read_descriptor(statm_), page_bytes())) return *memory;
  return {peak_resident_bytes(), std::nullopt, std::nullopt};
}

std::vector<Mapping> parse_smaps(std::string_view text) {
  std::vector<Mapping> mappings;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (const auto mapping = mapping_of(line)) {
      mappings.push_back(*mapping);
    } else if (!mappings.empty()) {
      if (const auto bytes = kilobytes(line, "Rss")) mappings.back().rss = *bytes;
      if (const auto bytes = kilobytes(line, "Pss")) mappings.back().pss = *bytes;
    }
  }
  std::erase_if(mappings, [](const Mapping& mapping) { return mapping.pss == 0; });
  return mappings;
}

MemoryByPart split_by_part(std::span<const Mapping> mappings, std::span<const MemoryRange> ranges,
                           const PageCount& pages) {
  MemoryByPart parts;
  for (const Mapping& mapping : mappings) {
    const auto first = std::partition_point(
        ranges.begin(), ranges.end(), [&](const MemoryRange& range) { return range.end <= mapping.begin; });
    const auto last = std::partition_point(
        first, ranges.end(), [&](const MemoryRange& range) { return range.begin < mapping.end; });
    if (last - first == 1 && first->begin <= mapping.begin && first->end >= mapping.end) {
      parts[first->part] += mapping.pss;
      continue;
    }
    const uint64_t all = first == last ? 0 : pages(mapping.begin, mapping.end);
    uint64_t left = mapping.pss;
    for (auto range = first; all != 0 && range != last; ++range) {
      const uint64_t of_range =
          pages(std::max(range->begin, mapping.begin), std::min(range->end, mapping.end));
      const double share = static_cast<double>(of_range) / static_cast<double>(all);
      const uint64_t bytes = std::min(left, static_cast<uint64_t>(share * static_cast<double>(mapping.pss)));
      parts[range->part] += bytes;
      left -= bytes;
    }
    parts[MemoryPart::kOther] += left;
  }
  return parts;
}

std::optional<MemoryByPart> measure_memory_parts() {
  const PageMap page_map;
  const std::vector<Mapping> mappings = parse_smaps(read_path("/proc/self/smaps"));
  if (!page_map.is_open() || mappings.empty()) return std::nullopt;
  std::vector<MemoryRange> ranges = charged_ranges();
  for (MemoryRange& range : ranges) range.end = round_up(range.end, page_bytes());
  return split_by_part(mappings, ranges,
                       [&](uintptr_t begin, uintptr_t end) { return page_map.count(begin, end); });
}

uint64_t absent_code_bytes(std::span<const Mapping> mappings, uintptr_t address) {
  for (const Mapping& mapping : mappings) {
    const uint64_t bytes = mapping.end - mapping.begin;
    if (mapping.begin <= address && address < mapping.end && mapping.rss <= bytes) return bytes - mapping.rss;
  }
  return 0;
}

uint64_t absent_code_bytes() {
  const auto here = reinterpret_cast<uintptr_t>(&measure_memory_parts);
  return absent_code_bytes(parse_smaps(read_path("/proc/self/smaps")), here);
}

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
