#include "base/memory_room.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "base/cgroup.h"
#include "base/memory_parts.h"

namespace stonechat {
namespace {

// From this on, version 1 means that there is no limit: it says 2^63, rounded down to a page.
constexpr uint64_t kNoLimit = uint64_t{1} << 62;

// The number that a file has alone; nothing where it has none, such as "max".
std::optional<uint64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  uint64_t number = 0;
  return file >> number ? std::optional(number) : std::nullopt;
}

// The sum of the numbers after these words of a text of words and numbers.
uint64_t sum_of(const std::string& path, std::initializer_list<std::string_view> words) {
  std::ifstream file(path);
  uint64_t sum = 0;
  for (std::string word; file >> word;) {
    uint64_t number = 0;
    if (std::find(words.begin(), words.end(), word) != words.end() && file >> number) sum += number;
  }
  return sum;
}

// `swap` is what the system has free of it.
std::optional<MemoryRoom> room_in(const CgroupFolder& folder, uint64_t swap) {
  const auto number = [&](const char* name) { return number_in(fmt::format("{}/{}", folder.path, name)); };
  const char* limit_name = folder.version2 ? "memory.max" : "memory.limit_in_bytes";
  const auto limit = number(limit_name);
  const auto used = number(folder.version2 ? "memory.current" : "memory.usage_in_bytes");
  if (!limit || !used || *limit >= kNoLimit) return std::nullopt;
  const std::string stat = folder.path + "/memory.stat";
  const uint64_t files = folder.version2 ? sum_of(stat, {"inactive_file", "active_file"})
                                         : sum_of(stat, {"total_inactive_file", "total_active_file"});
  if (folder.version2) {
    const auto most_swap = number("memory.swap.max");
    const uint64_t used_swap = number("memory.swap.current").value_or(0);
    if (most_swap) swap = std::min(swap, *most_swap - std::min(used_swap, *most_swap));
  }
  const uint64_t held = *used - std::min(files, *used);
  const uint64_t bytes = *limit - std::min(held, *limit) + swap;
  return MemoryRoom{bytes, fmt::format("of the {:.0f} MB of {}/{} are {:.0f} left", megabytes(*limit),
                                       folder.path, limit_name, megabytes(bytes))};
}

}  // namespace

std::optional<MemoryRoom> memory_room(const MemoryFiles& files) {
  std::optional<MemoryRoom> least;
  const auto consider = [&](const std::optional<MemoryRoom>& room) {
    if (room && (!least || room->bytes < least->bytes)) least = room;
  };
  const uint64_t swap = 1024 * sum_of(files.meminfo, {"SwapFree:"});
  if (const uint64_t available = 1024 * sum_of(files.meminfo, {"MemAvailable:"}); available != 0) {
    const uint64_t bytes = available + swap;
    consider(
        MemoryRoom{bytes, fmt::format("the system has {:.0f} MB left ({}: MemAvailable{})", megabytes(bytes),
                                      files.meminfo, swap != 0 ? " and SwapFree" : "")});
  }
  for (const CgroupFolder& folder : cgroup_folders("memory", files.membership, files.mount))
    consider(room_in(folder, swap));
  return least;
}

}  // namespace stonechat
