// Asks for memory that will be read soon, some lines at a time, by a thread that has nothing else to do.
//
// Takes no harm from memory that is gone: asking is a hint, and nothing is read here.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

namespace stonechat {

class ReadAhead {
 public:
  ReadAhead() = default;
  explicit ReadAhead(std::span<const std::byte> memory)
      : begin_(memory.data()), bytes_(std::min(memory.size(), kMostBytes)) {}

  const std::byte* begin() const { return begin_; }

  // Asks for the next lines. False when there are none any more.
  bool ask() {
    if (asked_ >= bytes_) return false;
    const size_t end = std::min(bytes_, asked_ + kLines * kLineBytes);
    for (; asked_ < end; asked_ += kLineBytes) __builtin_prefetch(begin_ + asked_, 0, kSecondLevel);
    return true;
  }

 private:
  // A small part of every second-level cache: what threads wait for is here before that is full.
  static constexpr size_t kMostBytes = size_t{64} << 10;
  static constexpr size_t kLines = 4;
  static constexpr size_t kLineBytes = 64;
  static constexpr int kSecondLevel = 2;  // the locality that leaves the first-level cache alone

  const std::byte* begin_ = nullptr;
  size_t bytes_ = 0;
  size_t asked_ = 0;
};

}  // namespace stonechat
