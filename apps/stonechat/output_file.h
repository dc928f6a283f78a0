// What a command asks of a file or directory that it will write to, before any work.
#pragma once

#include <string>
#include <vector>

namespace stonechat {

// Error{kUsage} where `path` is one of the files `inputs`, kIo where it can't be written. Empty paths, and
// inputs that don't exist, are no files.
void check_output(const std::string& path, const std::vector<std::string>& inputs);

// A directory and those above it, where they are missing. Error{kIo}.
void make_directories(const std::string& path);

}  // namespace stonechat
