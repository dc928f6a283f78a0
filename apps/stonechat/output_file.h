// What a command asks of a file that it will write, before any work.
#pragma once

#include <string>
#include <vector>

namespace stonechat {

// Error{kUsage} where `path` is one of the files `inputs`. Empty paths, and inputs that don't exist, are no
// files.
void check_no_input(const std::string& path, const std::vector<std::string>& inputs);

// The same, and Error{kIo} where it can't be written: for what is opened only after the work.
void check_output(const std::string& path, const std::vector<std::string>& inputs);

}  // namespace stonechat
