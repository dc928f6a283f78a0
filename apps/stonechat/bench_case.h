// One test of `stonechat bench`, set up to be run several times.
#pragma once

#include <cstdint>
#include <vector>

#include "base/thread_pool.h"
#include "eval/machine_limits.h"
#include "model/executor.h"
#include "model/kv_cache.h"
#include "model/profile.h"
#include "model/tuning.h"

namespace stonechat {

// One line of the table: prompts, answers, or both after each other, of some sequences at a depth.
struct BenchTest {
  uint32_t prompt = 0;    // tokens of each sequence
  uint32_t generate = 0;  // tokens of each sequence
  uint32_t depth = 0;     // tokens that each sequence's cache holds before
  uint32_t parallel = 1;  // sequences computed together
  CacheFormats cache = {};

  uint64_t tokens() const { return uint64_t{parallel} * (uint64_t{prompt} + generate); }  // of all sequences
};

// Token ids that look random and are the same each time: what they are doesn't change the work.
class TokenSource {
 public:
  explicit TokenSource(uint32_t vocabulary) : vocabulary_(vocabulary) {}
  std::vector<int32_t> next(uint32_t count);

 private:
  uint64_t state_ = 1;
  uint32_t vocabulary_;
};

class BenchCase {
 public:
  // `weights` and `pool` outlive it.
  BenchCase(const Weights& weights, ThreadPool& pool, const BenchTest& test, const Tuning& tuning);

  void warm_up();
  // Brings the caches to the test's depth.
  void fill();
  // Nanoseconds of one repetition, after fill(). Steps go to `profile` unless it is null.
  double run(Profile* profile);

  size_t cache_bytes() const;  // of all sequences

  // What the test has to do, all sequences and tokens together. Of a prompt the layers alone: the head is
  // asked for its last token only.
  Cost prompt_cost() const;
  Cost generate_cost() const;

 private:
  // `count` tokens of each sequence in one forward pass.
  void forward(uint32_t count, Wanted wanted);
  void prompt();
  void generate(uint32_t count);

  BenchTest test_;
  uint32_t micro_batch_;  // tokens that go through the layers together
  TokenSource tokens_;
  std::vector<KvCache> caches_;
  Executor executor_;
};

}  // namespace stonechat
