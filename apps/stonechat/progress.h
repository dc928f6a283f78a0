// One line of progress on a terminal's standard error, rewritten in place; silent when that is not a
// terminal.
//
// update() is cheap and may be called often; it may be called by one thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "status_line.h"

namespace stonechat {

class Progress {
 public:
  // `unit` is "bytes", which are shown as MiB, or a plural such as "windows". A total of 0 is unknown.
  Progress(std::string label, uint64_t total, std::string unit);

  void update(uint64_t done);
  // Removes the line, as the destructor does: what follows says more than "100 %".
  void finish() { line_.clear(); }

 private:
  StatusLine line_;
  std::string label_;
  uint64_t total_;
  std::string unit_;
  bool shown_ = false;  // once or more
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_;
};

}  // namespace stonechat
