#include "report_display.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "report/number_text.h"

namespace stonechat {

ReportDisplay::ReportDisplay(size_t steps) : steps_(steps) {}

void ReportDisplay::begin(const std::string& step, double seconds_left) {
  ++index_;
  step_ = step;
  seconds_left_ = seconds_left;
  start_ = std::chrono::steady_clock::now();
  tick();
}

void ReportDisplay::tick() {
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start_;
  line_.show(fmt::format("[{}/{}] {}, {}; about {} left", index_, steps_, step_,
                         duration_text(seconds.count()),
                         duration_text(std::max(0.0, seconds_left_ - seconds.count()))));
}

void ReportDisplay::end(double seconds, double seconds_left) {
  if (line_.is_shown()) return;
  const std::string left =
      index_ == steps_ ? "" : fmt::format("; about {} left", duration_text(seconds_left));
  fmt::print(stderr, "[{}/{}] {}: {:.1f} s{}\n", index_, steps_, step_, seconds, left);
  std::fflush(stderr);
}

void ReportDisplay::say(const std::string& sentence) {
  line_.clear();
  fmt::print(stderr, "stonechat: {}\n", printable(sentence));
}

}  // namespace stonechat
