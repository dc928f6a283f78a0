// Threads that work on one thing together, again and again.
//
// A forward pass shares out work more than a hundred times, so helpers spin between two calls and sleep only
// after some milliseconds without work: an idle process uses no processor. The calling thread is worker 0.
//
// One call at a time, and none from within a body: a pool belongs to one session.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <type_traits>
#include <vector>

#include "base/function_ref.h"
#include "base/pool_clock.h"
#include "base/read_ahead.h"

namespace stonechat {

// Processors that this process may use: its affinity mask, cut by the cgroup's CPU quota (rounded up). At
// least 1.
uint32_t usable_processors();

class ThreadPool {
 public:
  // Error{kLimit} when the system gives no more threads.
  explicit ThreadPool(uint32_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  uint32_t threads() const { return static_cast<uint32_t>(helpers_.size()) + 1; }

  // Starts or ends helpers until there are `threads` workers; 0 is taken as 1. Error{kLimit} when the system
  // gives no more: the pool then has those it got.
  void resize(uint32_t threads);

  // From now on calls add to `clock`, which outlives its use here; null (the default) measures nothing.
  void set_clock(PoolClock* clock) { clock_ = clock; }
  PoolClock* clock() const { return clock_; }

  // What a later call will read, each of T workers its own T-th from front to back. From the next call on,
  // who waits asks for the beginning of its part. Empty (the default): for nothing.
  void set_next_read(std::span<const std::byte> memory);

  // Calls body(worker) once on each worker and returns when all are done. A body that throws ends the
  // program.
  void run(FunctionRef<void(uint32_t worker)> body);

  // Both functions call body(begin, end) or body(begin, end, worker) for ranges of [0, items), each item in
  // one range. Worker w of T first goes through its own part, [w * items / T, (w + 1) * items / T), from
  // front to back: so it reads the same memory in each call. Who has finished takes ranges from the back of
  // the part that has most left; a thread that doesn't get a processor holds nobody up. Who takes which range
  // varies, so the result of an item must not depend on its neighbours. The body may throw: no more ranges
  // are handed out then, and the first exception arrives here. At most 2^32 - 1 grains or chunks.
  //
  // Ranges begin at multiples of `grain` (at least 1), end at such or at `items`, and are shorter towards the
  // end of a part; one worker alone gets all items at once. For bodies that gain by long ranges.
  template <typename Body>
  void for_each_part(uint64_t items, uint64_t grain, Body&& body) {
    share_out(items, grain, Lengths::kShrinking, body);
  }
  // Ranges are [0, chunk), [chunk, 2 * chunk), ..., the last may be shorter. For bodies that hold memory for
  // each item of a range, or results for each range.
  template <typename Body>
  void for_each_chunk(uint64_t items, uint64_t chunk, Body&& body) {
    share_out(items, chunk, Lengths::kEqual, body);
  }

 private:
  enum class Lengths { kShrinking, kEqual };
  struct Helper;
  struct Sharing;
  using WorkerBody = FunctionRef<void(uint32_t worker)>;
  using RangeBody = FunctionRef<void(uint64_t begin, uint64_t end, uint32_t worker)>;

  template <typename Body>
  void share_out(uint64_t items, uint64_t grain, Lengths lengths, Body& body) {
    if constexpr (std::is_invocable_v<Body&, uint64_t, uint64_t, uint32_t>) {
      share_ranges(items, grain, lengths, body);
    } else {
      share_ranges(items, grain, lengths, [&](uint64_t begin, uint64_t end, uint32_t) { body(begin, end); });
    }
  }
  void share_ranges(uint64_t items, uint64_t grain, Lengths lengths, RangeBody body);
  void work(Sharing& sharing, uint32_t worker);
  std::atomic<uint64_t>& part(uint32_t worker);

  void post(WorkerBody body);
  std::span<const std::byte> next_read(uint32_t worker) const;
  void wait_for(const Helper& helper);
  bool spin(const Helper& helper, uint64_t seen, ReadAhead& ahead);
  void help(Helper& helper, uint32_t worker);
  void end_helpers(uint32_t kept);

  // What several threads write lies this far from anything else: two cache lines, as processors fetch pairs.
  static constexpr size_t kApart = 128;

  const uint32_t processors_ = usable_processors();
  std::vector<std::unique_ptr<Helper>> helpers_;
  std::atomic<bool> crowded_{false};  // more threads than processors
  alignas(kApart) std::atomic<uint64_t> first_part_{0};
  alignas(kApart) uint64_t ticket_ = 0;  // of the latest call, see Helper
  bool busy_ = false;
  PoolClock* clock_ = nullptr;
  std::span<const std::byte> next_read_;
  ReadAhead ahead_;  // of worker 0
  std::atomic<uint32_t> sleepers_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace stonechat
