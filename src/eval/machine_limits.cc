#include "eval/machine_limits.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "eval/statistics.h"

namespace stonechat {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kRoundSeconds = 0.008;
constexpr uint32_t kRounds = 4;
constexpr size_t kPieceBytes = size_t{1} << 20;
// How far ahead a reading loop asks for memory: which is fastest differs between processors, by up to a half.
constexpr size_t kReadAheads[] = {0, 1024, 3072};
constexpr uint32_t kReadRounds = 2;  // of each
constexpr uint64_t kPasses = 2000;   // a piece of arithmetic: some ten microseconds

}  // namespace

size_t size_beyond_caches() {
  // With 480 MB of cache, reading is as slow from 512 MB as from 4 GB.
  size_t bytes = size_t{512} << 20;
#ifdef _SC_LEVEL3_CACHE_SIZE
  if (const long cache = ::sysconf(_SC_LEVEL3_CACHE_SIZE); cache > 0)
    bytes = std::max(bytes, 2 * static_cast<size_t>(cache));
#endif
  return bytes;
}

MachineLimits median(std::span<const MachineLimits> limits) {
  const auto of = [&](double MachineLimits::*member) {
    std::vector<double> values;
    for (const MachineLimits& one : limits) values.push_back(one.*member);
    return median(std::move(values));
  };
  return {of(&MachineLimits::integer_gmacs), of(&MachineLimits::float_gmacs), of(&MachineLimits::read_gbs)};
}

MachineLimits larger(const MachineLimits& a, const MachineLimits& b) {
  return {std::max(a.integer_gmacs, b.integer_gmacs), std::max(a.float_gmacs, b.float_gmacs),
          std::max(a.read_gbs, b.read_gbs)};
}

Bound bound(const Cost& cost, const MachineLimits& limits) {
  const double integer_seconds = cost.integer_macs / (1e9 * limits.integer_gmacs);
  const double float_seconds = cost.float_macs / (1e9 * limits.float_gmacs);
  const double read_seconds = cost.bytes / (1e9 * limits.read_gbs);
  if (read_seconds >= integer_seconds + float_seconds) return {read_seconds, Limit::kRead};
  return {integer_seconds + float_seconds,
          integer_seconds >= float_seconds ? Limit::kInteger : Limit::kFloat};
}

LimitMeter::LimitMeter(const KernelTable& kernels, ThreadPool& pool)
    : kernels_(kernels),
      pool_(pool),
      part_bytes_(std::max<size_t>(1, size_beyond_caches() / pool.threads() / kPieceBytes) * kPieceBytes),
      position_(pool.threads()) {
  memory_ = AlignedBuffer(part_bytes_ * pool.threads());
  // Written, because reading pages that nobody wrote reads one and the same page.
  pool_.run([&](uint32_t worker) { std::memset(memory_.data() + worker * part_bytes_, 1, part_bytes_); });
}

template <typename Piece>
double LimitMeter::best_rate(uint32_t rounds, Piece&& piece) {
  double best = 0;
  std::vector<double> rates(pool_.threads());
  for (uint32_t round = 0; round < rounds; ++round) {
    // All threads begin together, and none ends while another still has a long way to go: each works until
    // the time is over.
    std::atomic<uint32_t> ready{0};
    pool_.run([&](uint32_t worker) {
      ready.fetch_add(1);
      while (ready.load() < pool_.threads()) std::this_thread::yield();
      const auto start = Clock::now();
      double done = 0;
      double seconds = 0;
      do {
        done += static_cast<double>(piece(worker));
        seconds = std::chrono::duration<double>(Clock::now() - start).count();
      } while (seconds < kRoundSeconds);
      rates[worker] = done / seconds;
    });
    double rate = 0;
    for (const double one : rates) rate += one;
    best = std::max(best, rate);
  }
  return best;
}

MachineLimits LimitMeter::measure() {
  const LimitKernels& limits = *kernels_.limits;
  MachineLimits result;
  std::atomic<uint32_t> sink{0};  // keeps what the loops compute
  result.integer_gmacs = 1e-9 * best_rate(kRounds, [&](uint32_t) {
                           uint32_t sum = 0;
                           const uint64_t done = limits.integer_products(kPasses, 1, 1, &sum);
                           sink.fetch_xor(sum, std::memory_order_relaxed);
                           return done;
                         });
  result.float_gmacs = 1e-9 * best_rate(kRounds, [&](uint32_t) {
                         float sum = 0;
                         const uint64_t done = limits.float_products(kPasses, 1.0F, 1.0F, &sum);
                         sink.fetch_xor(static_cast<uint32_t>(sum), std::memory_order_relaxed);
                         return done;
                       });
  for (const size_t ahead : kReadAheads) {
    const double rate = best_rate(kReadRounds, [&](uint32_t worker) {
      size_t& position = position_[worker];
      const std::byte* part = memory_.data() + worker * part_bytes_;
      sink.fetch_xor(limits.read(part + position, kPieceBytes, ahead), std::memory_order_relaxed);
      position = (position + kPieceBytes) % part_bytes_;
      return kPieceBytes;
    });
    result.read_gbs = std::max(result.read_gbs, 1e-9 * rate);
  }
  return result;
}

}  // namespace stonechat
