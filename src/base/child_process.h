// Runs another program and waits for it.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace stonechat {

struct ChildResult {
  int exit_code = 0;   // 128 + the signal that ended it
  std::string output;  // what it wrote on standard output and error, at most the last 64 kB
};

// `arguments[0]` is looked up in PATH; no shell is involved. Standard input is empty. When `should_stop` says
// so, the program is ended: Error{kInterrupted}. Error{kIo} when it can't be started.
ChildResult run_child(const std::vector<std::string>& arguments, const std::function<bool()>& should_stop);

}  // namespace stonechat
