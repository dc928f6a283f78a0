#include "status_line.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "base/characters.h"

namespace stonechat {
namespace {

// Characters that fit a row; it may be resized at any time.
size_t terminal_columns() {
  constexpr size_t kUsual = 80;
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : kUsual;
}

}  // namespace

StatusLine::StatusLine() : is_terminal_(::isatty(STDERR_FILENO) == 1) {}

StatusLine::~StatusLine() {
  clear();
}

void StatusLine::show(const std::string& line) {
  if (!is_terminal_) return;
  // The last column stays free, as terminals differ in where the cursor goes from there.
  fmt::print(stderr, "\r\x1b[K{}", whole_characters(line, terminal_columns() - 1));
  std::fflush(stderr);
  dirty_ = true;
}

void StatusLine::clear() {
  if (!std::exchange(dirty_, false)) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
}

}  // namespace stonechat
