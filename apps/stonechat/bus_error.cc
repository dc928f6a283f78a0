#include "bus_error.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"

namespace stonechat {
namespace {

// Made beforehand: a signal handler may not take memory.
std::array<char, 1024> message;
size_t message_bytes = 0;

void explain(int) {
  // Nothing could be done about a failed write here.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, message.data(), message_bytes);
  ::_exit(1);
}

}  // namespace

void explain_bus_errors(const std::string& path) {
  const std::string text = fmt::format(
      "\nstonechat: {}: cannot be read any more: the file was changed while in use, or its disk failed\n",
      printable(path));
  message_bytes = std::min(text.size(), message.size());
  std::memcpy(message.data(), text.data(), message_bytes);
  struct sigaction action {};
  action.sa_handler = explain;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace stonechat
