// Finds stop strings in text that comes in pieces, and never lets a part of one through.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stonechat {

class StopMatcher {
 public:
  // Error{kUsage} for an empty stop string.
  explicit StopMatcher(std::vector<std::string> stops);

  // Takes the next piece; returns what may be shown by now: everything before a stop string, and without one
  // all but an end that could still become one. After a match nothing is returned any more.
  std::string push(std::string_view text);
  bool matched() const { return matched_; }
  // What was held back when no more text comes; nothing after a match.
  std::string finish();

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool matched_ = false;
};

}  // namespace stonechat
