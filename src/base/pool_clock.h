// Where the time of a ThreadPool's threads goes, for profiles: given to ThreadPool::set_clock().
#pragma once

#include <atomic>
#include <cstdint>

namespace stonechat {

struct PoolClock {
  // In calls of run(), for_each_part() and for_each_chunk(), as their caller sees them, but for calls of the
  // last two whose work isn't shared. Written by that caller.
  uint64_t run_ns = 0;
  // In the bodies that these called, all workers together. What is missing to threads x run_ns was spent
  // waiting: for the start, or for those who take longer.
  std::atomic<uint64_t> busy_ns{0};
};

}  // namespace stonechat
