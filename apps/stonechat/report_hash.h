// A hash of what a user named, which may be a directory.
#pragma once

#include <string>

namespace stonechat {

// SHA-256 of a file; of a directory that of its files' hashes and names, in the order of lines as sha256sum
// prints them, with all directories below it. Error{kIo} naming the path.
std::string sha256_of_path(const std::string& path);

}  // namespace stonechat
