// Sees the activations of forward passes. An Executor that is given one tells it after each step; without
// one it only asks whether there is one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/thread_pool.h"
#include "quant/taps.h"

namespace stonechat {

// Values of one tap, values[token * stride + channel]. Channels of queries and keys are in the order of the
// executor: (i, i + head_dim / 2) of a head are rotated together.
struct Observed {
  Tap tap;
  uint32_t layer;
  const float* values;
  uint32_t tokens;
  uint32_t channels;
  size_t stride;
};

class Observer {
 public:
  Observer() = default;
  virtual ~Observer() = default;
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;

  // On the executor's thread, between its uses of `pool`. All tokens of a batch at once, batches in the order
  // of the tokens. The values are valid during the call.
  virtual void observe(const Observed& observed, ThreadPool& pool) = 0;
};

}  // namespace stonechat
