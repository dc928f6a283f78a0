#include "model/rope_table.h"

#include <cmath>

#include "base/checked.h"

namespace stonechat {

std::vector<double> rope_frequencies(const ModelConfig& config, std::span<const float> factors) {
  const uint32_t pairs = config.head_dim / 2;
  std::vector<double> frequencies;
  for (uint32_t pair = 0; pair < pairs; ++pair) {
    const double frequency = std::pow(config.rope_base, -static_cast<double>(pair) / pairs);
    frequencies.push_back(frequency / config.rope_divisor / (factors.empty() ? 1.0 : factors[pair]));
  }
  return frequencies;
}

void RopeTable::reserve(uint32_t positions) {
  const size_t have = cosine_.size() / frequencies_.size();
  if (positions <= have) return;
  positions = static_cast<uint32_t>(round_up(positions, kStep));
  cosine_.reserve(positions * frequencies_.size());
  sine_.reserve(positions * frequencies_.size());
  for (size_t position = have; position < positions; ++position) {
    for (const double frequency : frequencies_) {
      const double angle = static_cast<double>(position) * frequency;
      cosine_.push_back(static_cast<float>(std::cos(angle)));
      sine_.push_back(static_cast<float>(std::sin(angle)));
    }
  }
}

}  // namespace stonechat
