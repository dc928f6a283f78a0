#include "eval/memory_sampler.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "eval/statistics.h"

namespace stonechat {

void SeriesRecorder::add(uint64_t value) {
  least_ = std::min(least_, value);
  most_ = std::max(most_, value);
  if (added_++ % keep_every_ != 0) return;
  if (kept_.size() == kMostKept) {
    for (size_t i = 0; 2 * i < kept_.size(); ++i) kept_[i] = kept_[2 * i];
    kept_.resize(kMostKept / 2);
    keep_every_ *= 2;
  }
  kept_.push_back(value);
}

MemorySeries SeriesRecorder::result() const {
  constexpr double kFractions[] = {0.5, 0.95};
  const std::vector<double> at = percentiles({kept_.begin(), kept_.end()}, kFractions);
  const auto whole = [](double value) { return static_cast<uint64_t>(std::llround(value)); };
  return {least_, whole(at[0]), whole(at[1]), most_};
}

MemorySampler::MemorySampler() {
  take();
  thread_ = std::thread([this] { run(); });
}

MemorySampler::~MemorySampler() {
  end_thread();
}

void MemorySampler::end_thread() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wakes_.notify_one();
  thread_.join();
}

MemoryUse MemorySampler::stop() {
  end_thread();
  take();
  const auto result = [](const SeriesRecorder& recorder) {
    return recorder.count() == 0 ? std::nullopt : std::optional(recorder.result());
  };
  return {rss_.count(), rss_.result(), result(pss_), result(anonymous_), result(file_)};
}

void MemorySampler::run() {
  auto next = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  for (;;) {
    // From now where a reading came late: missed ones aren't made up for.
    next = std::max(next + std::chrono::milliseconds(kMilliseconds), std::chrono::steady_clock::now());
    if (wakes_.wait_until(lock, next, [this] { return stop_; })) return;
    take();
  }
}

void MemorySampler::take() {
  const ProcessMemory memory = reader_.read();
  rss_.add(memory.rss);
  if (memory.pss) pss_.add(*memory.pss);
  if (memory.anonymous) anonymous_.add(*memory.anonymous);
  if (const auto file = memory.file()) file_.add(*file);
}

}  // namespace stonechat
