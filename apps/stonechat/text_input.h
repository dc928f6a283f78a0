// Text that a user gives as an argument, a file, or standard input.
#pragma once

#include <cstddef>
#include <string>

namespace stonechat {

// The whole content, at most `most_bytes`. Error{kIo} naming the path.
std::string read_text_file(const std::string& path, size_t most_bytes = size_t{1} << 30);
std::string read_standard_input(size_t most_bytes = size_t{1} << 30);
bool standard_input_is_terminal();

}  // namespace stonechat
