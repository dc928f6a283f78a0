// Ten thousand rounds of work of random size, some of it failing or cancelled from another thread, on a pool
// that is resized meanwhile, also beyond the number of processors.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <span>
#include <thread>
#include <vector>

#include "base/thread_pool.h"

namespace stonechat {
namespace {

constexpr uint32_t kSeed = 20261;

struct Cancelled {};
struct Failed {
  uint64_t item;
};

// Sets a flag from its own thread whenever it is told to; sleeps otherwise.
class Canceller {
 public:
  Canceller() : thread_([this] { loop(); }) {}
  ~Canceller() {
    tell(kEnd);
    thread_.join();
  }

  // Clears the flag; the thread will set it.
  void start() {
    cancelled_ = false;
    tell(kCancel);
  }
  // Until the thread has set the flag.
  void wait() const { cancelled_.wait(false); }
  bool is_cancelled() const { return cancelled_; }

 private:
  enum Order { kNothing, kCancel, kEnd };

  void tell(Order order) {
    order_ = order;
    order_.notify_one();
  }
  void loop() {
    for (;;) {
      order_.wait(kNothing);
      if (order_.exchange(kNothing) == kEnd) return;
      cancelled_ = true;
      cancelled_.notify_all();
    }
  }

  std::atomic<int> order_ = kNothing;
  std::atomic<bool> cancelled_ = false;
  std::thread thread_;
};

class ThreadPoolStress : public testing::Test {
 protected:
  uint64_t random(uint64_t least, uint64_t most) {
    return std::uniform_int_distribution<uint64_t>(least, most)(engine_);
  }

  // What is to be done in a round. Many rounds have few items, as what goes wrong goes wrong at the ends.
  void choose_work() {
    items_ = random(0, 3) == 0 ? random(0, 4000) : random(0, 40);
    grain_ = random(0, 3) == 0 ? random(1, 200) : random(1, 4);
    equal_ = random(0, 1) == 0;
    values_.assign(items_, 0);
    // Later rounds leave it behind: it is only asked for.
    pool_.set_next_read(std::as_bytes(std::span(values_)));
    started_ = std::vector<std::atomic<uint8_t>>(items_);
  }

  // Calls item(i) for each item of the pool's ranges, after checks of the range.
  template <typename Item>
  void share(Item&& item) {
    const auto body = [&](uint64_t begin, uint64_t end, uint32_t worker) {
      bool good = begin < end && end <= items_ && begin % grain_ == 0 && worker < pool_.threads();
      if (equal_) good = good && end == std::min(begin + grain_, items_);
      if (!good || (end % grain_ != 0 && end != items_)) ++bad_ranges_;
      for (uint64_t i = begin; i < end; ++i) {
        ++started_[i];
        item(i);
      }
    };
    if (equal_) {
      pool_.for_each_chunk(items_, grain_, body);
    } else {
      pool_.for_each_part(items_, grain_, body);
    }
  }

  uint64_t items_started(uint8_t times) const {
    return static_cast<uint64_t>(
        std::count_if(started_.begin(), started_.end(), [&](const auto& count) { return count == times; }));
  }

  void all_items_once() {
    // Plain writes: what workers wrote must be visible here, and ThreadSanitizer watches.
    share([&](uint64_t i) { values_[i] = i + 1; });
    ASSERT_EQ(items_started(1), items_);
    for (uint64_t i = 0; i < items_; ++i) ASSERT_EQ(values_[i], i + 1);
  }

  void one_item_fails() {
    if (items_ == 0) return;
    const uint64_t bad = random(0, items_ - 1);
    try {
      share([&](uint64_t i) {
        if (i == bad) throw Failed{i};
        values_[i] = 1;
      });
      FAIL() << "no exception came";
    } catch (const Failed& failed) {
      ASSERT_EQ(failed.item, bad);
    }
    ASSERT_EQ(items_started(0) + items_started(1), items_);
    ASSERT_EQ(started_[bad], 1);
  }

  // One item waits until the other thread has cancelled, so that each of these rounds is.
  void cancelled_by_exception() {
    if (items_ == 0) return;
    const uint64_t waiting = random(0, items_ - 1);
    canceller_.start();
    ASSERT_THROW(share([&](uint64_t i) {
                   if (i == waiting) canceller_.wait();
                   if (canceller_.is_cancelled()) throw Cancelled();
                   values_[i] = 1;
                 }),
                 Cancelled);
    ASSERT_EQ(items_started(0) + items_started(1), items_);
  }

  void cancelled_by_leaving_out() {
    if (items_ == 0) return;
    const uint64_t waiting = random(0, items_ - 1);
    std::atomic<uint64_t> left_out = 0;
    canceller_.start();
    share([&](uint64_t i) {
      if (i == waiting) canceller_.wait();
      if (canceller_.is_cancelled()) {
        ++left_out;
      } else {
        values_[i] = 1;
      }
    });
    ASSERT_EQ(items_started(1), items_);
    ASSERT_GE(left_out, 1U);
    ASSERT_EQ(static_cast<uint64_t>(std::count(values_.begin(), values_.end(), 1)), items_ - left_out);
  }

  void every_worker_once() {
    values_.assign(pool_.threads(), 0);
    pool_.run([&](uint32_t worker) { ++values_[worker]; });
    ASSERT_EQ(static_cast<uint64_t>(std::count(values_.begin(), values_.end(), 1)), pool_.threads());
  }

  std::mt19937 engine_{kSeed};
  ThreadPool pool_{3};
  Canceller canceller_;
  uint64_t items_ = 0;
  uint64_t grain_ = 1;
  bool equal_ = false;
  std::vector<uint64_t> values_;
  std::vector<std::atomic<uint8_t>> started_;
  std::atomic<uint64_t> bad_ranges_ = 0;
};

TEST_F(ThreadPoolStress, StartsCancelsAndResizesTenThousandTimes) {
  const uint32_t most_threads = 2 * usable_processors() + 3;
  for (int round = 0; round < 10'000; ++round) {
    if (round % 8 == 0) pool_.resize(static_cast<uint32_t>(random(1, most_threads)));
    // Long enough for helpers to fall asleep.
    if (round % 500 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(8));
    choose_work();
    SCOPED_TRACE(testing::Message() << "seed " << kSeed << ", round " << round << ": " << items_
                                    << " items by " << grain_ << (equal_ ? ", equal" : ", shrinking") << ", "
                                    << pool_.threads() << " threads");
    switch (random(0, 5)) {
      case 0:
        one_item_fails();
        break;
      case 1:
        cancelled_by_exception();
        break;
      case 2:
        cancelled_by_leaving_out();
        break;
      case 3:
        every_worker_once();
        break;
      default:
        all_items_once();
    }
    ASSERT_EQ(bad_ranges_, 0U);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace stonechat
