#include "eval/memory_sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "base/aligned_buffer.h"

namespace stonechat {
namespace {

TEST(SeriesRecorder, KnowsTheRanksOfAFew) {
  SeriesRecorder recorder;
  recorder.add(7);
  EXPECT_EQ(recorder.result().minimum, 7U);
  EXPECT_EQ(recorder.result().p95, 7U);
  for (const uint64_t value : {3, 11, 5, 9}) recorder.add(value);
  const MemorySeries series = recorder.result();
  EXPECT_EQ(series.minimum, 3U);
  EXPECT_EQ(series.median, 7U);
  EXPECT_EQ(series.p95, 11U);  // 9 + 0.8 x 2, rounded
  EXPECT_EQ(series.peak, 11U);
  EXPECT_EQ(recorder.count(), 5U);
}

TEST(SeriesRecorder, OfManyTheExtremesAreExactAndTheRanksNear) {
  constexpr uint64_t kCount = 5 * SeriesRecorder::kMostKept + 3;
  SeriesRecorder recorder;
  for (uint64_t i = 0; i < kCount; ++i) recorder.add(i == 12345 ? 10 * kCount : 1000 + i);
  const MemorySeries series = recorder.result();
  EXPECT_EQ(recorder.count(), kCount);
  EXPECT_EQ(series.minimum, 1000U);
  EXPECT_EQ(series.peak, 10 * kCount);
  EXPECT_NEAR(static_cast<double>(series.median), 1000 + 0.5 * kCount, 0.01 * kCount);
  EXPECT_NEAR(static_cast<double>(series.p95), 1000 + 0.95 * kCount, 0.01 * kCount);
}

TEST(MemorySampler, SeesWhatIsTakenAndGivenBack) {
  constexpr size_t kBytes = size_t{50} << 20;
  MemorySampler sampler;
  std::thread([] {
    AlignedBuffer buffer(kBytes);
    std::memset(buffer.data(), 1, kBytes);
    std::this_thread::sleep_for(std::chrono::milliseconds(10 * MemorySampler::kMilliseconds));
  }).join();
  const MemoryUse use = sampler.stop();
  EXPECT_GE(use.samples, 3U);
  if (!use.anonymous) GTEST_SKIP() << "the system does not tell";
  EXPECT_GE(use.rss.peak, use.rss.minimum + kBytes * 9 / 10);
  EXPECT_GE(use.anonymous->peak, use.anonymous->minimum + kBytes * 9 / 10);
  EXPECT_LE(use.rss.minimum, use.rss.median);
  EXPECT_LE(use.rss.median, use.rss.p95);
  EXPECT_LE(use.rss.p95, use.rss.peak);
}

TEST(MemorySampler, MayBeLeftWithoutAResult) {
  const MemorySampler sampler;
}

}  // namespace
}  // namespace stonechat
