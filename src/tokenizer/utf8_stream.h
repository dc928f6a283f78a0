// Turns tokens' bytes, which may end within a character, into text that never shows half of one.
#pragma once

#include <string>
#include <string_view>

namespace stonechat {

class Utf8Stream {
 public:
  // Takes the next bytes; returns what is complete by now. Bytes that can't be UTF-8 become U+FFFD.
  std::string push(std::string_view bytes);
  // What is left at the end: U+FFFD for a character that was never finished.
  std::string finish();

 private:
  std::string pending_;
};

}  // namespace stonechat
