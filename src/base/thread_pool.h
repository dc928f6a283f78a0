// A fixed set of threads that run one function together.
//
// `run(body)` calls body(worker) once on each worker, worker 0 being the caller, and returns when all are
// done. Between two runs the helpers spin for a short while (a forward pass has some two hundred runs), then
// sleep. The body must not throw and must not call run(). One run at a time: the pool belongs to one session.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace stonechat {

// Processors that this process may use: its affinity mask, cut by the cgroup's CPU quota (rounded up). At
// least 1.
uint32_t usable_processors();

class ThreadPool {
 public:
  explicit ThreadPool(uint32_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  uint32_t threads() const { return static_cast<uint32_t>(helpers_.size()) + 1; }

  void run(const std::function<void(uint32_t worker)>& body);

  // Calls body(begin, end) over [0, items) in chunks of `chunk` items, handed out as workers get free. Which
  // worker takes which chunk varies; so the result of an item must not depend on its chunk's neighbours. The
  // body may throw: no more chunks are handed out then, and the first exception arrives here.
  void for_each_chunk(uint64_t items, uint64_t chunk,
                      const std::function<void(uint64_t begin, uint64_t end)>& body);

 private:
  void helper_loop(uint32_t worker);

  std::vector<std::thread> helpers_;
  const std::function<void(uint32_t)>* body_ = nullptr;
  std::atomic<uint64_t> generation_{0};  // rises by one a run; the helpers wait for it to change
  std::atomic<uint32_t> unfinished_{0};  // helpers still in the current run
  std::atomic<bool> stopping_{false};
  std::atomic<uint32_t> sleepers_{0};
  bool may_spin_ = true;
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace stonechat
