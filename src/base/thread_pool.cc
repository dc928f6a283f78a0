#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <system_error>
#include <thread>

#include "base/cgroup.h"
#include "base/checked.h"
#include "base/error.h"

namespace stonechat {
namespace {

using Clock = std::chrono::steady_clock;
using Microseconds = std::chrono::microseconds;

// A helper without work first only looks, then also lets others have the processor, then sleeps. Together
// longer than what a token needs between two forward passes (sampling, printing), and once a pause: an idle
// chat costs nothing.
constexpr Microseconds kLookTime{50};
constexpr Microseconds kYieldTime{3000};
// With more threads than processors, whoever spins holds up whoever works.
constexpr Microseconds kCrowdedYieldTime{50};
// A caller that has waited this long for a helper naps between its looks.
constexpr Microseconds kNapAfter{5000};
constexpr Microseconds kNapTime{50};
constexpr int kLooksPerClock = 32;  // between two readings of the clock, which takes as long as some looks

// The share of what is left of a part that is taken at once, if ranges shrink: a third, as bodies gain by
// long ranges, and as a core a third as fast as the others then still ends its first range in time.
constexpr uint32_t kShrinkBy = 3;

void pause_a_moment() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// What is left of a part, in grains: [begin, end).
struct Left {
  uint32_t begin;
  uint32_t end;

  explicit Left(uint64_t packed)
      : begin(static_cast<uint32_t>(packed >> 32)), end(static_cast<uint32_t>(packed)) {}
  Left(uint32_t first, uint32_t last) : begin(first), end(last) {}
  uint64_t packed() const { return uint64_t{begin} << 32 | end; }
  uint32_t count() const { return end - begin; }
};

// Adds the time from here to the end of its scope to a clock's counter, if there is a clock.
template <auto kCounter>
class Timed {
 public:
  explicit Timed(PoolClock* clock) : clock_(clock) {
    if (clock_ != nullptr) start_ = Clock::now();
  }
  ~Timed() {
    if (clock_ == nullptr) return;
    const auto time = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start_).count();
    clock_->*kCounter += static_cast<uint64_t>(time);
  }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  PoolClock* clock_;
  Clock::time_point start_;
};
using TimedRun = Timed<&PoolClock::run_ns>;
using TimedBody = Timed<&PoolClock::busy_ns>;

}  // namespace

uint32_t usable_processors() {
  uint32_t count = std::max(1U, std::thread::hardware_concurrency());
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (::sched_getaffinity(0, sizeof mask, &mask) == 0) count = static_cast<uint32_t>(CPU_COUNT(&mask));
  if (const double quota = cgroup_processors(); quota > 0) {
    count = std::min(count, static_cast<uint32_t>(std::max(1.0, std::ceil(quota))));
  }
  return std::max(1U, count);
}

// A thread and the lines through which it is spoken to. A call posts work by making the ticket odd; the
// helper takes it by adding 1, which makes it even again. Where work needn't be done by this very helper, the
// caller takes it back in the same way if the helper hasn't come by then. So tickets of all helpers go up
// together, by 2 a call.
struct ThreadPool::Helper {
  explicit Helper(uint64_t first_ticket) : ticket(first_ticket), done(first_ticket) {}

  // Written by the caller, and by whoever takes something.
  alignas(kApart) std::atomic<uint64_t> ticket;
  std::atomic<uint64_t> part{0};
  WorkerBody body;
  std::span<const std::byte> next_read;
  bool ends = false;
  // Written by the helper: the even ticket of what it finished last.
  alignas(kApart) std::atomic<uint64_t> done;
  std::thread thread;
};

// One call of for_each_part or for_each_chunk.
struct ThreadPool::Sharing {
  alignas(kApart) uint64_t items;
  uint64_t grain;
  bool shrinking;
  RangeBody body;
  alignas(kApart) std::mutex error_mutex{};
  std::exception_ptr error{};

  uint32_t taken_at_once(Left left) const { return shrinking ? std::max(1U, left.count() / kShrinkBy) : 1; }
};

ThreadPool::ThreadPool(uint32_t threads) {
  try {
    resize(threads);
  } catch (...) {
    end_helpers(0);
    throw;
  }
}

ThreadPool::~ThreadPool() {
  end_helpers(0);
}

void ThreadPool::resize(uint32_t threads) {
  assert(!busy_);
  const uint32_t wanted = std::max(1U, threads);
  end_helpers(wanted - 1);
  helpers_.reserve(wanted - 1);
  const auto note_threads = [&] { crowded_.store(this->threads() > processors_, std::memory_order_relaxed); };
  note_threads();
  while (helpers_.size() < wanted - 1) {
    auto helper = std::make_unique<Helper>(ticket_);
    const uint32_t worker = this->threads();
    try {
      helper->thread = std::thread([this, &it = *helper, worker] { help(it, worker); });
    } catch (const std::system_error& error) {
      fail(ErrorKind::kLimit, "cannot start thread {} of {}: {}", worker + 1, wanted, error.what());
    }
    helpers_.push_back(std::move(helper));
    note_threads();
  }
}

void ThreadPool::end_helpers(uint32_t kept) {
  if (helpers_.size() <= kept) return;
  for (size_t i = kept; i < helpers_.size(); ++i) {
    helpers_[i]->ends = true;
    helpers_[i]->ticket.store(ticket_ + 1, std::memory_order_release);
  }
  {
    std::lock_guard lock(mutex_);
    wake_.notify_all();
  }
  for (size_t i = kept; i < helpers_.size(); ++i) helpers_[i]->thread.join();
  helpers_.resize(kept);
}

void ThreadPool::set_next_read(std::span<const std::byte> memory) {
  next_read_ = memory;
  ahead_ = ReadAhead(next_read(0));
}

std::span<const std::byte> ThreadPool::next_read(uint32_t worker) const {
  const size_t part = next_read_.size() / threads();
  return next_read_.subspan(worker * part, part);
}

void ThreadPool::post(WorkerBody body) {
  assert(!busy_);
  busy_ = true;
  for (uint32_t worker = 1; worker < threads(); ++worker) {
    const auto& helper = helpers_[worker - 1];
    helper->body = body;
    helper->next_read = next_read(worker);
    helper->ticket.store(ticket_ + 1, std::memory_order_release);
  }
  ticket_ += 2;
  // A helper that goes to sleep adds itself, then looks at its ticket once more. Either our addition (of
  // nothing) comes after its one and we see that it sleeps, or before, and then it sees the ticket.
  if (sleepers_.fetch_add(0, std::memory_order_acq_rel) > 0) {
    std::lock_guard lock(mutex_);
    wake_.notify_all();
  }
}

void ThreadPool::wait_for(const Helper& helper) {
  const auto is_done = [&] { return helper.done.load(std::memory_order_acquire) == ticket_; };
  if (is_done()) return;
  const bool crowded = crowded_.load(std::memory_order_relaxed);
  const auto start = Clock::now();
  for (;;) {
    for (int look = 0; look < kLooksPerClock; ++look) {
      if (is_done()) return;
      if (!ahead_.ask()) pause_a_moment();
    }
    const auto waited = Clock::now() - start;
    if (waited > kNapAfter) {
      std::this_thread::sleep_for(kNapTime);
    } else if (crowded || waited > kLookTime) {
      std::this_thread::yield();
    }
  }
}

// Waits until the ticket isn't `seen` any more; false when that takes too long.
bool ThreadPool::spin(const Helper& helper, uint64_t seen, ReadAhead& ahead) {
  const auto start = Clock::now();
  for (;;) {
    for (int look = 0; look < kLooksPerClock; ++look) {
      if (helper.ticket.load(std::memory_order_acquire) != seen) return true;
      if (!ahead.ask()) pause_a_moment();
    }
    const bool crowded = crowded_.load(std::memory_order_relaxed);
    const auto waited = Clock::now() - start;
    if (waited > (crowded ? kCrowdedYieldTime : kYieldTime)) return false;
    if (crowded || waited > kLookTime) std::this_thread::yield();
  }
}

void ThreadPool::help(Helper& helper, uint32_t worker) {
  uint64_t seen = helper.done.load(std::memory_order_relaxed);
  ReadAhead ahead;
  for (;;) {
    if (!spin(helper, seen, ahead)) {
      std::unique_lock lock(mutex_);
      sleepers_.fetch_add(1, std::memory_order_acq_rel);
      // Work that was posted and taken back ends the sleep too: more will follow soon.
      wake_.wait(lock, [&] { return helper.ticket.load(std::memory_order_acquire) != seen; });
      sleepers_.fetch_sub(1, std::memory_order_relaxed);
    }
    uint64_t ticket = helper.ticket.load(std::memory_order_acquire);
    while (ticket % 2 == 1 && !helper.ticket.compare_exchange_weak(
                                  ticket, ticket + 1, std::memory_order_acquire, std::memory_order_acquire)) {
    }
    if (ticket % 2 == 1) {
      if (helper.ends) return;
      if (helper.next_read.data() != ahead.begin()) ahead = ReadAhead(helper.next_read);
      helper.body(worker);
      ++ticket;
      helper.done.store(ticket, std::memory_order_release);
    }
    seen = ticket;
  }
}

void ThreadPool::run(WorkerBody body) {
  const TimedRun timed_run(clock_);
  const auto must_not_throw = [&](uint32_t worker) noexcept {
    const TimedBody timed_body(clock_);
    body(worker);
  };
  if (helpers_.empty()) {
    must_not_throw(0);
    return;
  }
  post(must_not_throw);
  must_not_throw(0);
  for (const auto& helper : helpers_) wait_for(*helper);
  busy_ = false;
}

std::atomic<uint64_t>& ThreadPool::part(uint32_t worker) {
  return worker == 0 ? first_part_ : helpers_[worker - 1]->part;
}

void ThreadPool::share_ranges(uint64_t items, uint64_t grain, Lengths lengths, RangeBody body) {
  assert(grain > 0);
  if (items == 0) return;
  const bool shrinking = lengths == Lengths::kShrinking;
  if (items <= grain || (helpers_.empty() && shrinking)) {
    body(0, items, 0);
    return;
  }
  if (helpers_.empty()) {
    for (uint64_t begin = 0; begin < items; begin += grain) body(begin, std::min(begin + grain, items), 0);
    return;
  }
  const TimedRun timed_run(clock_);
  const uint64_t grains = ceil_div(items, grain);
  assert(grains <= UINT32_MAX);
  for (uint32_t worker = 0; worker < threads(); ++worker) {
    const Left left(static_cast<uint32_t>(grains * worker / threads()),
                    static_cast<uint32_t>(grains * (worker + 1) / threads()));
    part(worker).store(left.packed(), std::memory_order_relaxed);
  }
  Sharing sharing{.items = items, .grain = grain, .shrinking = shrinking, .body = body};
  const auto share = [&](uint32_t worker) { work(sharing, worker); };
  post(share);
  work(sharing, 0);
  // Nothing is left to be taken. Who hasn't come by now isn't needed; the others finish what they have.
  for (const auto& helper : helpers_) {
    uint64_t posted = ticket_ - 1;
    if (helper->ticket.load(std::memory_order_relaxed) != posted ||
        !helper->ticket.compare_exchange_strong(posted, ticket_, std::memory_order_relaxed)) {
      wait_for(*helper);
    }
  }
  busy_ = false;
  if (sharing.error) std::rethrow_exception(sharing.error);
}

// Relaxed order is enough for the parts: a range is taken by whose exchange succeeds, and what bodies read
// and wrote is ordered by tickets.
void ThreadPool::work(Sharing& sharing, uint32_t worker) {
  const TimedBody timed_body(clock_);
  const auto call = [&](Left range) {
    try {
      sharing.body(range.begin * sharing.grain, std::min(range.end * sharing.grain, sharing.items), worker);
    } catch (...) {
      for (uint32_t other = 0; other < threads(); ++other) part(other).store(0, std::memory_order_relaxed);
      std::lock_guard lock(sharing.error_mutex);
      if (!sharing.error) sharing.error = std::current_exception();
    }
  };

  std::atomic<uint64_t>& own = part(worker);
  for (uint64_t packed = own.load(std::memory_order_relaxed);;) {
    const Left left(packed);
    if (left.count() == 0) break;
    const uint32_t middle = left.begin + sharing.taken_at_once(left);
    if (!own.compare_exchange_weak(packed, Left(middle, left.end).packed(), std::memory_order_relaxed))
      continue;
    call({left.begin, middle});
    packed = own.load(std::memory_order_relaxed);
  }

  for (;;) {
    std::atomic<uint64_t>* victim = nullptr;
    uint64_t packed = 0;
    for (uint32_t other = 0; other < threads(); ++other) {
      const uint64_t its = part(other).load(std::memory_order_relaxed);
      if (Left(its).count() > Left(packed).count()) {
        packed = its;
        victim = &part(other);
      }
    }
    if (victim == nullptr) return;
    const Left left(packed);
    const uint32_t middle = left.end - sharing.taken_at_once(left);
    if (victim->compare_exchange_strong(packed, Left(left.begin, middle).packed(), std::memory_order_relaxed))
      call({middle, left.end});
  }
}

}  // namespace stonechat
