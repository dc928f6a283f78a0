// Lines from a terminal, with editing and a history where the system's library for that was found at build
// time.
#pragma once

#include <optional>
#include <string>

namespace stonechat {

class LineReader {
 public:
  // `program` names the history's file, $XDG_STATE_HOME or ~/.local/state / PROGRAM / chat_history.
  explicit LineReader(const std::string& program);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // Nothing at the end of input (Ctrl-D). Ctrl-C throws the line away and gives an empty one.
  std::optional<std::string> read(const std::string& prompt);

 private:
  std::string history_path_;
};

}  // namespace stonechat
