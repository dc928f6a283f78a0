// Finds the tuning with which a model runs fastest on this machine.
//
// One field after the other is tried over a short list, by whole forward passes that alternate with those of
// the best tuning so far, so that a machine that gets slower or faster meanwhile misleads nobody. What won is
// measured against the defaults once more, afresh, and given up unless it is faster by more than that
// measurement's noise and nothing else became slower.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "kernels/kernel_table.h"
#include "model/tuning.h"
#include "model/weights.h"

namespace stonechat {

// How much faster one tuning is than another, from times taken in pairs.
struct Gain {
  double ratio = 1;  // median of other time / this time
  double noise = 0;  // standard error of the mean ratio

  bool is_clear() const;  // faster by more than the noise
  bool is_loss() const;   // slower by more than may be
};

// Times in seconds, taken alternately: before[i] beside after[i]. Not empty, of equal length.
Gain gain_of(std::span<const double> before, std::span<const double> after);

// Whether these two run one token of each sequence otherwise, and passes of a few tokens, fewer than a batch.
bool changes_decode(const Tuning& from, const Tuning& to);
bool changes_few(const Tuning& from, const Tuning& to);

// What a thread count is tried for on so many processors: all, all but one, three quarters, half, a quarter.
std::vector<uint32_t> thread_candidates(uint32_t processors);

struct TunerOptions {
  double seconds = 80;                // for search and check, about; a pass that has begun is ended
  uint32_t most_prompt = 512;         // tokens of the longest prompt
  bool few_values = false;            // tries the most promising values only
  uint32_t processors = 1;            // the thread count of the defaults
  std::function<bool()> should_stop;  // may be empty
  std::function<void(uint64_t done, uint64_t total)> progress;  // comparisons; may be empty
};

// A field that was tried.
struct TunedField {
  const TuningField* field;
  uint32_t usual = 0;  // the default
  uint32_t chosen = 0;
  double speed_up =
      1;  // as seen in the search, on the work that the field matters for; 1 where it is the default
  bool tried = false;  // false where no time was left, or there was nothing to try
};

// One kind of work, with the defaults and with the tuning.
struct TunedWork {
  std::string name;        // "prompt", "decode", "few"
  std::string what;        // "prompts of 256 and 512 tokens"
  double usual_speed = 0;  // tokens/s
  double tuned_speed = 0;  // usual_speed x speed_up
  double speed_up = 1;     // as the final check saw it; exactly 1 where the tuning changes nothing
};

struct TunerResult {
  Tuning tuning;  // with explicit thread counts
  std::vector<TunedField> fields;
  std::vector<TunedWork> work;
  double seconds = 0;
};

// Error{kInterrupted} when should_stop says so. The pool is resized and left so.
TunerResult find_fastest(const Weights& weights, const KernelTable& kernels, ThreadPool& pool,
                         const TunerOptions& options);

}  // namespace stonechat
