// The one exception type of the project.
//
// Thrown where an untrusted file, a user's text or the system fails us. The message is a full sentence for
// the person at the terminal: it names file, field, what was expected and what was found. It is caught once,
// at the edge (apps/, bindings), and turned into an exit code or a status there; no library prints or exits.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace stonechat {

enum class ErrorKind {
  kUsage,        // the caller asked for something that makes no sense: exit code 2
  kBadFile,      // a file's content is malformed or unsupported
  kIo,           // the system refused: no such file, disk full, permission
  kNetwork,      // a server refused or the connection broke
  kLimit,        // valid, but larger than a limit: context length, memory
  kInterrupted,  // the user pressed Ctrl-C: exit code 130
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

// Throws Error{kind, formatted message}.
template <typename... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

// `text` as a terminal may show it: control characters, which could move the cursor or change colours, are
// spelled as \xNN; line ends, tabs and other UTF-8 stay.
std::string printable(std::string_view text);

// "No such file or directory" and the like, for the current errno or a given one.
std::string system_message(int error_number);

}  // namespace stonechat
