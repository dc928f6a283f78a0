#include "report_display.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "report/number_text.h"

namespace stonechat {

ReportDisplay::ReportDisplay(size_t steps) : steps_(steps), is_terminal_(::isatty(STDERR_FILENO) == 1) {}

ReportDisplay::~ReportDisplay() {
  clear();
}

void ReportDisplay::begin(const std::string& step, double seconds_left) {
  ++index_;
  step_ = step;
  seconds_left_ = seconds_left;
  start_ = std::chrono::steady_clock::now();
  tick();
}

void ReportDisplay::tick() {
  if (!is_terminal_) return;
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start_;
  show(fmt::format("[{}/{}] {}, {}; about {} left", index_, steps_, step_, duration_text(seconds.count()),
                   duration_text(std::max(0.0, seconds_left_ - seconds.count()))));
}

void ReportDisplay::end(double seconds, double seconds_left) {
  if (is_terminal_) return;
  const std::string left =
      index_ == steps_ ? "" : fmt::format("; about {} left", duration_text(seconds_left));
  fmt::print(stderr, "[{}/{}] {}: {:.1f} s{}\n", index_, steps_, step_, seconds, left);
  std::fflush(stderr);
}

void ReportDisplay::say(const std::string& sentence) {
  clear();
  fmt::print(stderr, "stonechat: {}\n", printable(sentence));
}

void ReportDisplay::clear() {
  if (!dirty_) return;
  show("");
  dirty_ = false;
}

void ReportDisplay::show(const std::string& line) {
  fmt::print(stderr, "\r\x1b[K{}", line);
  std::fflush(stderr);
  dirty_ = true;
}

}  // namespace stonechat
