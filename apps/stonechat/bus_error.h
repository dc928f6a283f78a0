// What happens when a mapped model file is cut short, or its disk fails, while we run.
#pragma once

#include <string>

namespace stonechat {

// From now on SIGBUS, by which the system says so, prints a sentence that names `path` and ends the program
// with exit code 1.
void explain_bus_errors(const std::string& path);

}  // namespace stonechat
