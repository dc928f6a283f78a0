#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <vector>

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
  ThreadPool pool(4);
  for (const uint64_t items : {0U, 1U, 7U, 64U, 1000U}) {
    for (const uint64_t chunk : {1U, 3U, 64U, 5000U}) {
      std::vector<std::atomic<int>> seen(items);
      pool.for_each_chunk(items, chunk, [&](uint64_t begin, uint64_t end) {
        for (uint64_t i = begin; i < end; ++i) ++seen[i];
      });
      for (const auto& count : seen) ASSERT_EQ(count, 1);
    }
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

TEST(UsableProcessors, IsAtLeastOne) {
  EXPECT_GE(usable_processors(), 1U);
}

}  // namespace
}  // namespace stonechat
