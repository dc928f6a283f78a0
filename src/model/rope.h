// The rotary position embedding: by which angles a position's queries and keys are turned.
//
// Source: RoFormer (arXiv 2104.09864): the pair i of a head turns by position x base^(-2i / head_dim).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/config.h"

namespace stonechat {

// Radians that each pair turns by from one position to the next, head_dim / 2 of them. `factors` divide them
// (length head_dim / 2, or empty): how files carry Llama 3's scaling.
std::vector<double> rope_frequencies(const ModelConfig& config, std::span<const float> factors);

// The cosines and the sines of one position, as many of each as there are frequencies.
void rope_rotation(std::span<const double> frequencies, uint32_t position, float* cosines, float* sines);

}  // namespace stonechat
