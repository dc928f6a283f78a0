#include "model/key_shift.h"

#include <cmath>
#include <utility>

#include "base/checked.h"

namespace stonechat {
namespace {

// Radians a position up to which a rotation is slow: half of a run of positions then turns by half a radian.
constexpr double kSlow = 1.0 / kKeyShift;

// Keys without their bias reach about 10 in Qwen2.5-0.5B: with more than this, bias takes the larger part.
constexpr float kMostFastBias = 8;

void append(std::vector<float>& all, const std::vector<float>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

// What a head adds to its keys, head_dim of a layer's bias.
std::span<const float> key_bias(const ModelConfig& config, std::span<const float> qkv_bias,
                                uint32_t kv_head) {
  return qkv_bias.subspan(config.query_width() + size_t{kv_head} * config.head_dim, config.head_dim);
}

bool has_fast_bias(std::span<const float> bias, std::span<const double> frequencies) {
  const size_t pairs = frequencies.size();
  for (size_t d = 0; d < bias.size(); ++d) {
    if (frequencies[d % pairs] > kSlow && std::fabs(bias[d]) > kMostFastBias) return true;
  }
  return false;
}

}  // namespace

std::vector<bool> heads_with_fast_bias(const ModelConfig& config, std::span<const float> qkv_bias,
                                       std::span<const double> frequencies) {
  std::vector<bool> wide(config.kv_heads);
  if (qkv_bias.empty()) return wide;
  for (uint32_t head = 0; head < config.kv_heads; ++head)
    wide[head] = has_fast_bias(key_bias(config, qkv_bias, head), frequencies);
  return wide;
}

KeyShiftTable::KeyShiftTable(const Weights& weights, const VectorKernels& kernels,
                             std::vector<double> frequencies)
    : weights_(weights),
      kernels_(kernels),
      frequencies_(std::move(frequencies)),
      layers_(weights.layers.size()) {
  for (Layer& layer : layers_) {
    layer.shifts.resize(weights.config.kv_heads);
    layer.transformed.resize(weights.config.kv_heads);
  }
}

void KeyShiftTable::reserve(uint32_t positions) {
  for (const auto runs = static_cast<uint32_t>(ceil_div(positions, kKeyShift)); runs_ < runs; ++runs_) {
    for (uint32_t layer = 0; layer < layers_.size(); ++layer) add_run(layer);
  }
}

void KeyShiftTable::add_run(uint32_t layer) {
  const std::vector<float>& qkv_bias = weights_.layers[layer].qkv_bias;
  if (qkv_bias.empty()) return;
  const ModelConfig& config = weights_.config;
  const uint32_t pairs = config.head_dim / 2;
  const double middle = (runs_ + 0.5) * kKeyShift;
  std::vector<float>& all = layers_[layer].left_out;
  const size_t first = all.size();
  all.resize(first + config.kv_width());
  for (uint32_t head = 0; head < config.kv_heads; ++head) {
    const std::span<const float> bias = key_bias(config, qkv_bias, head);
    float* left_out = all.data() + first + size_t{head} * config.head_dim;
    for (uint32_t pair = 0; pair < pairs; ++pair) {
      if (frequencies_[pair] > kSlow) continue;
      const double cosine = std::cos(middle * frequencies_[pair]);
      const double sine = std::sin(middle * frequencies_[pair]);
      left_out[pair] = static_cast<float>(bias[pair] * cosine - bias[pair + pairs] * sine);
      left_out[pair + pairs] = static_cast<float>(bias[pair + pairs] * cosine + bias[pair] * sine);
    }
    const float* of_first_run = all.data() + size_t{head} * config.head_dim;
    std::vector<float> shift(config.head_dim);
    for (uint32_t d = 0; d < config.head_dim; ++d) shift[d] = left_out[d] - of_first_run[d];
    append(layers_[layer].shifts[head], shift);
    kernels_.hadamard(shift.data(), 1, config.head_dim);
    append(layers_[layer].transformed[head], shift);
  }
}

const float* KeyShiftTable::left_out(uint32_t layer, uint32_t position) const {
  const std::vector<float>& left_out = layers_[layer].left_out;
  if (left_out.empty()) return nullptr;
  return left_out.data() + size_t{position / kKeyShift} * weights_.config.kv_width();
}

const float* KeyShiftTable::shifts(uint32_t layer, uint32_t kv_head, bool transformed) const {
  const Layer& of_layer = layers_[layer];
  const std::vector<float>& shifts = transformed ? of_layer.transformed[kv_head] : of_layer.shifts[kv_head];
  return shifts.empty() ? nullptr : shifts.data();
}

}  // namespace stonechat
