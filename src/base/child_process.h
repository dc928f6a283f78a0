// Runs another program and waits for it.
//
// `arguments[0]` is looked up in PATH; no shell is involved. Standard input is empty. `should_stop` is asked
// about ten times a second: when it says so, the program is told to end, ended by force two seconds later,
// and Error{kInterrupted} thrown. Error{kIo} when the program can't be started.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace stonechat {

// The file of the running program, to run it once more.
inline constexpr const char* kThisProgram = "/proc/self/exe";

struct ChildResult {
  int exit_code = 0;   // 128 + the signal that ended it
  std::string output;  // what it wrote on standard output and error, at most the last 64 kB
};

ChildResult run_child(const std::vector<std::string>& arguments, const std::function<bool()>& should_stop);

struct ChildStreams {
  int exit_code = 0;   // 128 + the signal that ended it
  std::string output;  // all of standard output
  std::string errors;  // the last 64 kB of standard error
};

// For programs whose output is data. One that writes more than `most_output_bytes` is ended: Error{kLimit}.
ChildStreams run_child_apart(const std::vector<std::string>& arguments,
                             const std::function<bool()>& should_stop,
                             size_t most_output_bytes = size_t{64} << 20);

}  // namespace stonechat
