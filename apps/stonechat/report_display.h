// Shows on standard error how far a report is: one line that is rewritten on a terminal, elsewhere a line for
// each step that ended.
#pragma once

#include <chrono>
#include <string>

#include "status_line.h"

namespace stonechat {

class ReportDisplay {
 public:
  explicit ReportDisplay(size_t steps);

  // `seconds_left` is predicted, with those of this step.
  void begin(const std::string& step, double seconds_left);
  void tick();
  void end(double seconds, double seconds_left);
  // A step that isn't run.
  void skip() { ++index_; }
  // A sentence of its own.
  void say(const std::string& sentence);

 private:
  size_t steps_;
  size_t index_ = 0;  // of the step that runs, from 1
  StatusLine line_;
  std::string step_;
  double seconds_left_ = 0;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace stonechat
