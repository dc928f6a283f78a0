// Cosines and sines of the rotary position embedding, per position.
//
// Source: RoFormer (arXiv 2104.09864): the pair i of a head turns by position x base^(-2i / head_dim).
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/memory_parts.h"
#include "model/config.h"

namespace stonechat {

// Radians that each pair turns by from one position to the next, head_dim / 2 of them. `factors` divide them
// (length head_dim / 2, or empty): how files carry Llama 3's scaling.
std::vector<double> rope_frequencies(const ModelConfig& config, std::span<const float> factors);

class RopeTable {
 public:
  explicit RopeTable(std::vector<double> frequencies) : frequencies_(std::move(frequencies)) {}

  // Grows by so many positions: a table that grew by one for each token would be copied for each.
  static constexpr uint32_t kStep = 256;
  // Makes cosine() and sine() valid for positions below `positions`. Not thread safe.
  void reserve(uint32_t positions);

  // head_dim / 2 values each.
  const float* cosine(uint32_t position) const {
    return cosine_.data() + size_t{position} * frequencies_.size();
  }
  const float* sine(uint32_t position) const { return sine_.data() + size_t{position} * frequencies_.size(); }

 private:
  std::vector<double> frequencies_;
  PartVector<float, MemoryPart::kActivations> cosine_;
  PartVector<float, MemoryPart::kActivations> sine_;
};

}  // namespace stonechat
