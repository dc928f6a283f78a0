// Records where the time of forward passes goes, by kind of step. An Executor that is given one tells it
// after each step; without one it only asks whether there is one.
//
// Belongs to the thread of its Executor. Measures the waiting of the pool's threads too, so only one Profile
// may use a pool at a time.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "base/thread_pool.h"
#include "model/cost.h"

namespace stonechat {

enum class Step {
  kEmbedding,
  kNorm,  // and preparing activations for the next product, where no other step does
  kQkv,
  kRope,  // and storing keys and values in the cache
  kAttention,
  kAttentionOut,
  kGateUp,  // with SiLU and preparing its results
  kDown,
  kHead,
};
inline constexpr size_t kSteps = 9;
std::string_view name(Step step);  // "attention out"

struct StepTotals {
  uint64_t calls = 0;
  double seconds = 0;          // as the thread of the executor sees it
  double waiting_seconds = 0;  // of these, how long a thread of the pool had nothing to do, on average
  Cost cost;  // as the executor told; bytes of steps without weights are those of activations
};
using ProfileTotals = std::array<StepTotals, kSteps>;  // by Step

class Profile {
 public:
  explicit Profile(ThreadPool& pool) : pool_(pool) { pool_.set_clock(&clock_); }
  ~Profile() { pool_.set_clock(nullptr); }
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  // A step begins. Each lap() begins the next one.
  void start() { last_ = now(); }
  // A step of this kind has ended, which had this to do.
  void lap(Step step, const Cost& cost);

  void clear() { totals_ = {}; }
  const ProfileTotals& totals() const { return totals_; }
  const StepTotals& operator[](Step step) const { return totals_[static_cast<size_t>(step)]; }

 private:
  struct Moment {
    std::chrono::steady_clock::time_point time;
    uint64_t run_ns;
    uint64_t busy_ns;
  };
  Moment now() const { return {std::chrono::steady_clock::now(), clock_.run_ns, clock_.busy_ns}; }

  ThreadPool& pool_;
  PoolClock clock_;
  Moment last_ = {};
  ProfileTotals totals_;
};

}  // namespace stonechat
