#include "text_input.h"

#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "base/input_file.h"

namespace stonechat {

std::string read_text_file(const std::string& path, size_t most_bytes) {
  const InputFile file(path);
  if (file.bytes() > most_bytes) {
    fail(ErrorKind::kLimit, "{}: has {} bytes of text, at most {} are read", path, file.bytes(), most_bytes);
  }
  return file.read_all();
}

std::string read_standard_input(size_t most_bytes) {
  std::string text;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (got == 0) return text;
    if (got < 0 && errno == EINTR) fail(ErrorKind::kInterrupted, "interrupted");
    if (got < 0) fail(ErrorKind::kIo, "standard input: cannot read: {}", system_message(errno));
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > most_bytes) {
      fail(ErrorKind::kLimit, "standard input: more than {} bytes of text", most_bytes);
    }
  }
}

bool standard_input_is_terminal() {
  return ::isatty(STDIN_FILENO) == 1;
}

}  // namespace stonechat
