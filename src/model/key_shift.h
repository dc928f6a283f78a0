// What cached keys leave out: the bias of dimensions whose rotation is slow, as it is rotated in the middle
// of each run of kKeyShift positions.
//
// Some heads of Qwen2.5-0.5B add biases of up to 211 to their keys, which leaves codes of 8 bits, and
// binary16 too, little for the rest of such a dimension. Scores get back exactly what was left out
// (docs/decisions/0004-key-offset.md). Not thread safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/weights.h"

namespace stonechat {

// Of each of a layer's key/value heads: true where its keys can't be cached in 8 bits, as their bias is large
// in dimensions that rotate too fast to be left out. `qkv_bias` as in LayerWeights.
std::vector<bool> heads_with_fast_bias(const ModelConfig& config, std::span<const float> qkv_bias,
                                       std::span<const double> frequencies);

class KeyShiftTable {
 public:
  // `weights` outlives it; frequencies as of rope_frequencies().
  KeyShiftTable(const Weights& weights, const VectorKernels& kernels, std::vector<double> frequencies);

  // Makes the others valid for positions below `positions`.
  void reserve(uint32_t positions);

  // What the keys of a layer at a position leave out, kv_heads x head_dim; null: nothing.
  const float* left_out(uint32_t layer, uint32_t position) const;
  // AttentionJob::shifts of a head, transformed by VectorKernels::hadamard where its keys are; null: nothing
  // is left out.
  const float* shifts(uint32_t layer, uint32_t kv_head, bool transformed) const;

 private:
  struct Layer {
    std::vector<float> left_out;                  // (runs, kv_heads x head_dim); empty: nothing
    std::vector<std::vector<float>> shifts;       // (kv_heads) of (runs, head_dim)
    std::vector<std::vector<float>> transformed;  // the same
  };

  void add_run(uint32_t layer);

  const Weights& weights_;
  const VectorKernels& kernels_;
  std::vector<double> frequencies_;
  std::vector<Layer> layers_;
  uint32_t runs_ = 0;
};

}  // namespace stonechat
