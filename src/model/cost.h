// What steps of the forward pass have to do at least, whichever kernels do it: multiply-adds and bytes to
// read. Compared with a machine's limits, it tells how fast they could be.
#pragma once

#include <cstdint>

#include "model/kv_cache.h"
#include "model/weights.h"

namespace stonechat {

struct Cost {
  double integer_macs = 0;    // multiply-adds with weights of 8 and 4 bits, in 8 bits
  double float_macs = 0;      // with F32, F16 and BF16 weights, in FP32
  double attention_macs = 0;  // of scores and of weighted values
  double bytes = 0;           // of packed weights, of cached keys and values; activations where said

  double weight_macs() const { return integer_macs + float_macs; }
  double all_macs() const { return weight_macs() + attention_macs; }
  Cost& operator+=(const Cost& other);
};
Cost operator+(Cost a, const Cost& b);
Cost operator*(double times, const Cost& cost);

// One product with `tokens` tokens that reads the weights once.
Cost product_cost(const PackedMatrix& matrix, uint64_t tokens);

// All products of all layers.
Cost layers_cost(const Weights& weights, uint64_t tokens);

// The attention of `tokens` tokens of one sequence behind `position` others, in one layer; the cache is read
// once.
Cost attention_cost(const ModelConfig& config, CacheFormats formats, uint64_t position, uint64_t tokens);

}  // namespace stonechat
