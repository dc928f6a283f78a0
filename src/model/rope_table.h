// Cosines and sines of the rotary position embedding, per position.
//
// Source: RoFormer (arXiv 2104.09864): the pair i of a head turns by position x base^(-2i / head_dim).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/config.h"

namespace stonechat {

class RopeTable {
 public:
  // `factors` divide the frequencies (length head_dim / 2, or empty): how files carry Llama 3's scaling.
  RopeTable(const ModelConfig& config, std::span<const float> factors);

  // Makes cosine() and sine() valid for positions below `positions`. Not thread safe.
  void reserve(uint32_t positions);

  // head_dim / 2 values each.
  const float* cosine(uint32_t position) const {
    return cosine_.data() + size_t{position} * frequencies_.size();
  }
  const float* sine(uint32_t position) const { return sine_.data() + size_t{position} * frequencies_.size(); }

 private:
  std::vector<double> frequencies_;  // radians a position, by pair
  std::vector<float> cosine_;
  std::vector<float> sine_;
};

}  // namespace stonechat
