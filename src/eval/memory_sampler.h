// The memory of this process over a time: a thread reads it every 20 ms.
//
// A reading takes the system the longer the more small pages are in memory (docs/memory.md has the times).
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/process_memory.h"

namespace stonechat {

// Bytes.
struct MemorySeries {
  uint64_t minimum = 0;
  uint64_t median = 0;
  uint64_t p95 = 0;
  uint64_t peak = 0;
};

// What the system doesn't tell is absent (see ProcessMemory).
struct MemoryUse {
  uint64_t samples = 0;
  MemorySeries rss;
  std::optional<MemorySeries> pss;
  std::optional<MemorySeries> anonymous;
  std::optional<MemorySeries> file;
};

// Numbers one after another. Its own memory is bounded: of very many it keeps every second one, of twice as
// many every fourth, and so on, but the least and the largest of all.
class SeriesRecorder {
 public:
  void add(uint64_t value);
  uint64_t count() const { return added_; }
  MemorySeries result() const;  // of at least one

  static constexpr size_t kMostKept = 8192;

 private:
  std::vector<uint64_t> kept_;  // every keep_every_-th
  uint64_t keep_every_ = 1;
  uint64_t added_ = 0;
  uint64_t least_ = UINT64_MAX;
  uint64_t most_ = 0;
};

class MemorySampler {
 public:
  static constexpr uint32_t kMilliseconds = 20;

  // Takes the first reading, and more until stop().
  MemorySampler();
  ~MemorySampler();
  MemorySampler(const MemorySampler&) = delete;
  MemorySampler& operator=(const MemorySampler&) = delete;

  // Takes the last reading, of what is in memory at the call. To be called once.
  MemoryUse stop();

 private:
  void run();
  void take();
  void end_thread();

  ProcessMemoryReader reader_;
  SeriesRecorder rss_;
  SeriesRecorder pss_;
  SeriesRecorder anonymous_;
  SeriesRecorder file_;
  std::mutex mutex_;
  std::condition_variable wakes_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace stonechat
