#include "output_file.h"

#include <filesystem>

#include "base/atomic_file.h"
#include "base/error.h"

namespace stonechat {

void check_output(const std::string& path, const std::vector<std::string>& inputs) {
  if (path.empty()) return;
  for (const std::string& input : inputs) {
    std::error_code no_such_file;
    if (std::filesystem::equivalent(input, path, no_such_file))
      fail(ErrorKind::kUsage, "{}: the output is an input; expected another file", path);
  }
  const AtomicFile probe(path);
}

void make_directories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) fail(ErrorKind::kIo, "{}: cannot create the directory: {}", path, error.message());
}

}  // namespace stonechat
