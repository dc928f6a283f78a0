#include "engine/stop_matcher.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace stonechat {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  for (const auto& stop : stops_) {
    if (stop.empty()) fail(ErrorKind::kUsage, "stop: expected some text, got an empty string");
  }
}

std::string StopMatcher::push(std::string_view text) {
  if (matched_) return {};
  held_ += text;
  size_t first_match = std::string::npos;
  for (const auto& stop : stops_) first_match = std::min(first_match, held_.find(stop));
  if (first_match != std::string::npos) {
    matched_ = true;
    held_.resize(first_match);
    return std::exchange(held_, {});
  }
  size_t kept = 0;
  for (const auto& stop : stops_) {
    for (size_t length = std::min(stop.size() - 1, held_.size()); length > kept; --length) {
      if (std::string_view(held_).substr(held_.size() - length) == std::string_view(stop).substr(0, length)) {
        kept = length;
      }
    }
  }
  std::string shown = held_.substr(0, held_.size() - kept);
  held_.erase(0, shown.size());
  return shown;
}

std::string StopMatcher::finish() {
  return std::exchange(held_, {});
}

}  // namespace stonechat
