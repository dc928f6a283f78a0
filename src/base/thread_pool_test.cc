#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"

namespace stonechat {
namespace {

TEST(ThreadPool, EveryWorkerRunsOnce) {
  for (const uint32_t threads : {1U, 2U, 3U, 8U}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int round = 0; round < 300; ++round) {
      std::vector<std::atomic<int>> runs(threads);
      pool.run([&](uint32_t worker) { ++runs[worker]; });
      for (const auto& count : runs) ASSERT_EQ(count, 1);
    }
  }
}

TEST(ThreadPool, ChunksCoverEveryItemOnce) {
  for (const uint32_t threads : {1U, 4U}) {
    ThreadPool pool(threads);
    for (const uint64_t items : {0U, 1U, 7U, 64U, 1000U}) {
      for (const uint64_t chunk : {1U, 3U, 64U, 5000U}) {
        std::vector<std::atomic<int>> seen(items);
        pool.for_each_chunk(items, chunk, [&](uint64_t begin, uint64_t end) {
          EXPECT_EQ(begin % chunk, 0U);
          EXPECT_EQ(end, std::min(begin + chunk, items));
          for (uint64_t i = begin; i < end; ++i) ++seen[i];
        });
        for (const auto& count : seen) ASSERT_EQ(count, 1);
      }
    }
  }
}

TEST(ThreadPool, PartsCoverEveryItemOnce) {
  for (const uint32_t threads : {1U, 2U, 5U}) {
    ThreadPool pool(threads);
    for (const uint64_t items : {0U, 1U, 4U, 7U, 64U, 1000U}) {
      for (const uint64_t grain : {1U, 3U, 64U, 5000U}) {
        std::vector<std::atomic<int>> seen(items);
        pool.for_each_part(items, grain, [&](uint64_t begin, uint64_t end, uint32_t worker) {
          EXPECT_LT(worker, threads);
          EXPECT_EQ(begin % grain, 0U);
          EXPECT_TRUE(end % grain == 0 || end == items);
          for (uint64_t i = begin; i < end; ++i) ++seen[i];
        });
        for (const auto& count : seen) ASSERT_EQ(count, 1);
      }
    }
  }
}

TEST(ThreadPool, EachWorkerGoesThroughItsOwnPartFirstInOrder) {
  ThreadPool pool(2);
  for (int round = 0; round < 100; ++round) {
    std::vector<std::pair<uint64_t, uint64_t>> ranges[2];
    pool.for_each_part(200, 2, [&](uint64_t begin, uint64_t end, uint32_t worker) {
      ranges[worker].emplace_back(begin, end);
    });
    for (uint64_t worker = 0; worker < 2; ++worker) {
      const uint64_t part_end = 100 * (worker + 1);
      uint64_t expected = 100 * worker;
      bool stealing = false;
      for (const auto& [begin, end] : ranges[worker]) {
        if (!stealing && begin == expected && end <= part_end) {
          expected = end;
        } else {
          // The other's part, from the back.
          stealing = true;
          ASSERT_TRUE(begin >= 100 * (1 - worker) && end <= 100 * (2 - worker)) << begin << " to " << end;
        }
      }
    }
    // Ranges shrink: whoever comes first finds a whole part and takes a third of it; in the end it is one
    // grain.
    uint64_t longest = 0;
    uint64_t shortest = 200;
    for (const auto& of_worker : ranges) {
      for (const auto& [begin, end] : of_worker) {
        longest = std::max(longest, end - begin);
        shortest = std::min(shortest, end - begin);
      }
    }
    ASSERT_EQ(longest, 32U);
    ASSERT_EQ(shortest, 2U);
  }
}

// A worker that is held up in its first item keeps none of its others: it waits here until they are done.
TEST(ThreadPool, OthersTakeWhatASlowWorkerLeaves) {
  ThreadPool pool(3);
  for (const uint32_t slow : {0U, 1U, 2U}) {
    std::atomic<int> done = 0;
    std::atomic<bool> gave_up = false;
    std::atomic<bool> held_up = false;
    pool.for_each_chunk(90, 1, [&](uint64_t, uint64_t, uint32_t worker) {
      if (worker == slow && !held_up.exchange(true)) {
        const auto start = std::chrono::steady_clock::now();
        while (done < 89 && !gave_up) {
          std::this_thread::yield();
          gave_up = std::chrono::steady_clock::now() - start > std::chrono::seconds(20);
        }
      }
      ++done;
    });
    EXPECT_EQ(done, 90);
    EXPECT_FALSE(gave_up);
  }
}

TEST(ThreadPool, Resizes) {
  ThreadPool pool(2);
  for (const uint32_t threads : {5U, 1U, 3U, 3U, 8U, 2U}) {
    pool.resize(threads);
    ASSERT_EQ(pool.threads(), threads);
    std::vector<std::atomic<int>> runs(threads);
    pool.run([&](uint32_t worker) { ++runs[worker]; });
    for (const auto& count : runs) ASSERT_EQ(count, 1);
  }
  pool.resize(0);
  EXPECT_EQ(pool.threads(), 1U);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they need more address space
constexpr size_t kLittleMemory = 256U << 20;                         // room for some thirty stacks

void take_memory_away() {
  const rlimit little = {kLittleMemory, kLittleMemory};
  ::setrlimit(RLIMIT_AS, &little);
}

// qemu-user accepts the limit and doesn't apply it.
bool limits_of_memory_hold() {
  const pid_t child = ::fork();
  if (child == 0) {
    take_memory_away();
    void* const memory = ::mmap(nullptr, 2 * kLittleMemory, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ::_exit(memory == MAP_FAILED ? 0 : 1);
  }
  int status = 1;
  return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
}

[[noreturn]] void grow_in_little_memory() {
  take_memory_away();
  ThreadPool pool(2);
  try {
    pool.resize(5000);
  } catch (const Error& error) {
    std::fputs(error.what(), stderr);
    std::atomic<uint32_t> workers = 0;
    pool.run([&](uint32_t) { ++workers; });
    std::exit(error.kind() == ErrorKind::kLimit && workers == pool.threads() ? 7 : 1);
  }
  std::exit(2);
}

TEST(ThreadPool, SaysWhenTheSystemGivesNoMoreThreads) {
  if (!limits_of_memory_hold()) GTEST_SKIP() << "no limit of memory holds here";
  EXPECT_EXIT(grow_in_little_memory(), testing::ExitedWithCode(7), "cannot start thread [0-9]+ of 5000: ");
}
#endif

double processor_seconds() {
  rusage usage;
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Three helpers that went on spinning would use 0.3 s each where there are as many processors.
TEST(ThreadPool, IdleHelpersUseNoProcessor) {
  for (const uint32_t threads : {2U, 4U}) {
    ThreadPool pool(threads);
    pool.for_each_chunk(100, 1, [](uint64_t, uint64_t) {});
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // they spin for a while first
    const double before = processor_seconds();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    EXPECT_LT(processor_seconds() - before, 0.03);
  }
}

TEST(ThreadPool, WhatWorkersWroteIsSeenAfterwards) {
  ThreadPool pool(2);
  std::vector<int> values(2);
  for (int round = 0; round < 2000; ++round) {
    pool.run([&](uint32_t worker) { values[worker] = round; });
    ASSERT_EQ(values[0], round);
    ASSERT_EQ(values[1], round);
  }
}

TEST(ThreadPool, AnExceptionArrivesAndThePoolGoesOn) {
  ThreadPool pool(3);
  for (int round = 0; round < 20; ++round) {
    EXPECT_THROW(pool.for_each_chunk(100, 1,
                                     [](uint64_t begin, uint64_t) {
                                       if (begin == 50) throw std::runtime_error("item 50");
                                     }),
                 std::runtime_error);
    std::atomic<int> count = 0;
    pool.for_each_chunk(100, 1, [&](uint64_t, uint64_t) { ++count; });
    EXPECT_EQ(count, 100);
  }
}

TEST(ThreadPool, SleepersWakeUp) {
  ThreadPool pool(3);
  std::atomic<int> count = 0;
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // longer than the helpers spin
    pool.run([&](uint32_t) { ++count; });
  }
  EXPECT_EQ(count, 15);
}

TEST(ThreadPool, ClockTellsBusyThreadsFromWaitingOnes) {
  using std::chrono::milliseconds;
  ThreadPool pool(3);
  PoolClock clock;
  pool.set_clock(&clock);
  pool.run([](uint32_t worker) {
    if (worker < 2) std::this_thread::sleep_for(milliseconds(20));
  });
  EXPECT_GE(clock.run_ns, 20'000'000U);
  EXPECT_GE(clock.busy_ns, 40'000'000U);
  EXPECT_LE(clock.busy_ns, 3 * clock.run_ns);
  // One chunk is done by the caller alone, without the pool.
  const uint64_t before = clock.run_ns;
  pool.for_each_chunk(5, 5, [](uint64_t, uint64_t) {});
  EXPECT_EQ(clock.run_ns, before);
  pool.set_clock(nullptr);
  pool.run([](uint32_t) {});
  EXPECT_EQ(clock.run_ns, before);
}

TEST(ThreadPool, MemoryToReadNextMayBeOfAnySizeAndGoneAlready) {
  for (const uint32_t threads : {1U, 3U}) {
    ThreadPool pool(threads);
    for (const size_t bytes : {0U, 1U, 2U, 100U, 1'000'000U}) {
      {
        const std::vector<std::byte> memory(bytes);
        pool.set_next_read(memory);
      }
      std::atomic<int> count = 0;
      for (int round = 0; round < 20; ++round) {
        pool.for_each_chunk(100, 1, [&](uint64_t, uint64_t) { ++count; });
        pool.run([&](uint32_t) { ++count; });
      }
      EXPECT_EQ(count, 20 * (100 + static_cast<int>(threads)));
    }
  }
}

TEST(ReadAhead, AsksForTheBeginningAndThenForNothing) {
  const auto asks = [](size_t bytes) {
    const std::vector<std::byte> memory(bytes);
    ReadAhead ahead{std::span(memory)};
    EXPECT_EQ(ahead.begin(), memory.data());
    int count = 0;
    while (ahead.ask()) ++count;
    EXPECT_FALSE(ahead.ask());
    return count;
  };
  EXPECT_FALSE(ReadAhead().ask());
  EXPECT_EQ(asks(1), 1);
  EXPECT_EQ(asks(256), 1);
  EXPECT_EQ(asks(257), 2);
  EXPECT_EQ(asks(64 << 10), 256);
  EXPECT_EQ(asks(1 << 20), 256);
}

TEST(UsableProcessors, IsAtLeastOne) {
  EXPECT_GE(usable_processors(), 1U);
}

}  // namespace
}  // namespace stonechat
