// A line on a terminal's standard error that is rewritten in place; nothing where that is not a terminal.
#pragma once

#include <string>

namespace stonechat {

class StatusLine {
 public:
  StatusLine();
  // Removes the line.
  ~StatusLine();
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  bool is_shown() const { return is_terminal_; }
  // Cut to the terminal's width: one that goes on in the next row could not be rewritten.
  void show(const std::string& line);
  void clear();

 private:
  bool is_terminal_;
  bool dirty_ = false;
};

}  // namespace stonechat
