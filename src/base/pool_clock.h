// Where the time of a ThreadPool's threads goes, for profiles: given to ThreadPool::set_clock().
#pragma once

#include <atomic>
#include <cstdint>

namespace stonechat {

struct PoolClock {
  // In ThreadPool::run(), as its caller sees it. Written by that caller.
  uint64_t run_ns = 0;
  // In the bodies that run() called, all workers together. What is missing to threads x run_ns was spent
  // waiting: for the start, or for those who take longer.
  std::atomic<uint64_t> busy_ns{0};
};

}  // namespace stonechat
