#include "report_hash.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/error.h"
#include "base/sha256.h"

namespace stonechat {

namespace fs = std::filesystem;

std::string sha256_of_path(const std::string& path) {
  if (!fs::is_directory(path)) return sha256_of_file(path);
  std::vector<std::string> lines;
  try {
    for (const auto& entry : fs::recursive_directory_iterator(path)) {
      if (entry.is_regular_file())
        lines.push_back(
            fmt::format("{}  {}\n", sha256_of_file(entry.path()), fs::relative(entry.path(), path).string()));
    }
  } catch (const fs::filesystem_error& error) {
    fail(ErrorKind::kIo, "{}: cannot read the directory: {}", path, error.code().message());
  }
  std::sort(lines.begin(), lines.end());
  return sha256_of_text(fmt::format("{}", fmt::join(lines, "")));
}

}  // namespace stonechat
