#include "progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/memory_parts.h"

namespace stonechat {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kInterval = std::chrono::milliseconds(100);
constexpr uint64_t kBarWidth = 24;

std::string amount(uint64_t count, const std::string& unit) {
  if (unit == "bytes") return fmt::format("{:.1f}", mebibytes(count));
  return std::to_string(count);
}

std::string duration(double seconds) {
  const auto whole = static_cast<uint64_t>(std::llround(seconds));
  return whole < 60 ? fmt::format("{} s", whole) : fmt::format("{}:{:02} min", whole / 60, whole % 60);
}

}  // namespace

Progress::Progress(std::string label, uint64_t total, std::string unit)
    : label_(std::move(label)), total_(total), unit_(std::move(unit)) {}

void Progress::update(uint64_t done) {
  const auto now = Clock::now();
  if (!line_.is_shown() || (shown_ && now - last_ < kInterval && done < total_)) return;
  last_ = now;
  shown_ = true;
  const std::string unit = unit_ == "bytes" ? "MiB" : unit_;
  if (total_ == 0) {
    line_.show(fmt::format("{}  {} {}", label_, amount(done, unit_), unit));
    return;
  }
  const uint64_t capped = std::min(done, total_);
  const uint64_t filled = capped * kBarWidth / total_;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double left =
      capped == 0 ? 0 : seconds * static_cast<double>(total_ - capped) / static_cast<double>(capped);
  // What changes first: a narrow terminal cuts the label.
  line_.show(fmt::format("[{:<{}}] {} of {} {}{}  {}", std::string(filled, '='), kBarWidth,
                         amount(capped, unit_), amount(total_, unit_), unit,
                         capped == 0 ? "" : ", " + duration(left) + " left", label_));
}

}  // namespace stonechat
