// What this machine can do at most, measured now, with the threads that a program computes with.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "model/cost.h"

namespace stonechat {

struct MachineLimits {
  double integer_gmacs = 0;  // 10^9 multiply-adds of 8 bits a second, by the table's instructions
  double float_gmacs = 0;    // of FP32
  double read_gbs = 0;       // 10^9 bytes read from memory a second
};

// Of each number by itself.
MachineLimits median(std::span<const MachineLimits> limits);  // not empty
MachineLimits larger(const MachineLimits& a, const MachineLimits& b);

// What binds a piece of work: the limit that it would take longest at.
enum class Limit { kInteger, kFloat, kRead };
struct Bound {
  double seconds = 0;  // that the machine takes at least
  Limit limit = Limit::kInteger;
};
// Products with weights against what the arithmetic units do, bytes against memory; the longer of both, since
// they go on at once. The attention's own multiply-adds are not counted.
Bound bound(const Cost& cost, const MachineLimits& limits);

// Bytes of which no cache keeps what a long walk through them will read next.
size_t size_beyond_caches();

class LimitMeter {
 public:
  // Takes memory_bytes() and touches all of it: each thread the part that it will read. `kernels` and `pool`
  // outlive the meter. Error{kLimit} when there is no such memory.
  LimitMeter(const KernelTable& kernels, ThreadPool& pool);

  size_t memory_bytes() const { return memory_.bytes(); }

  // The best of a few rounds of each, about a tenth of a second together.
  MachineLimits measure();

 private:
  // The best rate, all threads together, of several rounds of `piece(worker)`, which returns how much it has
  // done.
  template <typename Piece>
  double best_rate(uint32_t rounds, Piece&& piece);

  const KernelTable& kernels_;
  ThreadPool& pool_;
  AlignedBuffer memory_;
  size_t part_bytes_ = 0;         // of each thread
  std::vector<size_t> position_;  // of each thread in its part; reading goes on from round to round
};

}  // namespace stonechat
