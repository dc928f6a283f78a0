// One line of progress on a terminal's standard error, rewritten in place; silent when that is not a
// terminal.
//
// update() is cheap and may be called often; it may be called by one thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace stonechat {

class Progress {
 public:
  // `unit` is "bytes", which are shown as MiB, or a plural such as "windows". A total of 0 is unknown.
  Progress(std::string label, uint64_t total, std::string unit);
  // Removes the line unless finish() was called.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(uint64_t done);
  // Removes the line: what follows says more than "100 %".
  void finish();

 private:
  std::string label_;
  uint64_t total_;
  std::string unit_;
  bool shown_;  // standard error is a terminal
  bool dirty_ = false;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_;
};

}  // namespace stonechat
