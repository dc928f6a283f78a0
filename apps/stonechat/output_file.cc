#include "output_file.h"

#include <filesystem>

#include "base/atomic_file.h"
#include "base/error.h"

namespace stonechat {

void check_no_input(const std::string& path, const std::vector<std::string>& inputs) {
  for (const std::string& input : inputs) {
    std::error_code no_such_file;
    if (std::filesystem::equivalent(input, path, no_such_file))
      fail(ErrorKind::kUsage, "{}: the output is an input; expected another file", path);
  }
}

void check_output(const std::string& path, const std::vector<std::string>& inputs) {
  if (path.empty()) return;
  check_no_input(path, inputs);
  const AtomicFile probe(path);
}

}  // namespace stonechat
