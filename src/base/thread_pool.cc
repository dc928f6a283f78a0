#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <fstream>
#include <mutex>
#include <string>

namespace stonechat {
namespace {

// About 50 us of spinning before a helper sleeps: longer than the sampler between two tokens takes, short
// enough that an idle chat costs nothing.
constexpr uint32_t kSpins = 20'000;

void pause_a_moment() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Processors that a cgroup's quota allows, or 0 where there is none. v2's cpu.max reads "max 100000" or
// "150000 100000"; v1 has the two numbers in two files.
double cgroup_quota() {
  std::string quota;
  double period = 0;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> quota >> period) {
    return quota == "max" || period <= 0 ? 0 : std::strtod(quota.c_str(), nullptr) / period;
  }
  double microseconds = 0;
  std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (v1_quota >> microseconds && v1_period >> period && microseconds > 0 && period > 0)
    return microseconds / period;
  return 0;
}

}  // namespace

uint32_t usable_processors() {
  uint32_t count = std::max(1U, std::thread::hardware_concurrency());
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (::sched_getaffinity(0, sizeof mask, &mask) == 0) count = static_cast<uint32_t>(CPU_COUNT(&mask));
  if (const double quota = cgroup_quota(); quota > 0) {
    count = std::min(count, static_cast<uint32_t>(std::max(1.0, std::ceil(quota))));
  }
  return std::max(1U, count);
}

ThreadPool::ThreadPool(uint32_t threads) {
  // More threads than processors: whoever spins holds up whoever works.
  may_spin_ = threads <= usable_processors();
  for (uint32_t worker = 1; worker < threads; ++worker) {
    helpers_.emplace_back([this, worker] { helper_loop(worker); });
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    ++generation_;
  }
  wake_.notify_all();
  for (auto& helper : helpers_) helper.join();
}

void ThreadPool::run(const std::function<void(uint32_t)>& body) {
  if (helpers_.empty()) {
    body(0);
    return;
  }
  body_ = &body;
  unfinished_.store(static_cast<uint32_t>(helpers_.size()), std::memory_order_relaxed);
  // Sequentially consistent with the helper's "count myself as sleeper, then look at the generation once
  // more": either we see the sleeper and wake it, or it sees the new generation and does not sleep.
  generation_.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) {
    std::lock_guard lock(mutex_);
    wake_.notify_all();
  }
  body(0);
  uint32_t spins = 0;
  while (unfinished_.load(std::memory_order_acquire) > 0) {
    pause_a_moment();
    if (!may_spin_ || ++spins > kSpins) std::this_thread::yield();
  }
}

void ThreadPool::helper_loop(uint32_t worker) {
  uint64_t seen = 0;
  for (;;) {
    for (uint32_t spins = 0; may_spin_ && spins < kSpins; ++spins) {
      if (generation_.load(std::memory_order_acquire) != seen) break;
      pause_a_moment();
    }
    if (generation_.load(std::memory_order_acquire) == seen) {
      std::unique_lock lock(mutex_);
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      wake_.wait(lock, [&] { return generation_.load(std::memory_order_seq_cst) != seen; });
      sleepers_.fetch_sub(1, std::memory_order_relaxed);
    }
    seen = generation_.load(std::memory_order_acquire);
    if (stopping_) return;
    (*body_)(worker);
    unfinished_.fetch_sub(1, std::memory_order_release);
  }
}

void ThreadPool::for_each_chunk(uint64_t items, uint64_t chunk,
                                const std::function<void(uint64_t, uint64_t)>& body) {
  if (items <= chunk) {
    if (items > 0) body(0, items);
    return;
  }
  std::atomic<uint64_t> next{0};
  std::mutex error_mutex;
  std::exception_ptr error;
  run([&](uint32_t) {
    for (;;) {
      const uint64_t begin = next.fetch_add(chunk, std::memory_order_relaxed);
      if (begin >= items) return;
      try {
        body(begin, std::min(begin + chunk, items));
      } catch (...) {
        next.store(items, std::memory_order_relaxed);
        std::lock_guard lock(error_mutex);
        if (!error) error = std::current_exception();
      }
    }
  });
  if (error) std::rethrow_exception(error);
}

}  // namespace stonechat
