#include "model/rope.h"

#include <cmath>

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

void rope_rotation(std::span<const double> frequencies, uint32_t position, float* cosines, float* sines) {
  for (size_t pair = 0; pair < frequencies.size(); ++pair) {
    const double angle = static_cast<double>(position) * frequencies[pair];
    cosines[pair] = static_cast<float>(std::cos(angle));
    sines[pair] = static_cast<float>(std::sin(angle));
  }
}

}  // namespace stonechat
