#include "model/cost.h"

namespace stonechat {

Cost& Cost::operator+=(const Cost& other) {
  integer_macs += other.integer_macs;
  float_macs += other.float_macs;
  attention_macs += other.attention_macs;
  bytes += other.bytes;
  return *this;
}

Cost operator+(Cost a, const Cost& b) {
  return a += b;
}

Cost operator*(double times, const Cost& cost) {
  return {times * cost.integer_macs, times * cost.float_macs, times * cost.attention_macs,
          times * cost.bytes};
}

Cost product_cost(const PackedMatrix& matrix, uint64_t tokens) {
  Cost cost;
  const double macs = static_cast<double>(matrix.rows()) * matrix.cols() * static_cast<double>(tokens);
  (matrix.format() >= kWeightQ8_0 ? cost.integer_macs : cost.float_macs) = macs;
  cost.bytes = static_cast<double>(matrix.bytes());
  return cost;
}

Cost layers_cost(const Weights& weights, uint64_t tokens) {
  Cost cost;
  for (const LayerWeights& layer : weights.layers) {
    for (const PackedMatrix* matrix : {&layer.qkv, &layer.attention_out, &layer.gate_up, &layer.down})
      cost += product_cost(*matrix, tokens);
  }
  return cost;
}

Cost attention_cost(const ModelConfig& config, CacheFormats formats, uint64_t position, uint64_t tokens) {
  const auto before = static_cast<double>(position);
  const auto count = static_cast<double>(tokens);
  const double visible = count * before + count * (count + 1) / 2;  // keys, all tokens together
  Cost cost;
  cost.attention_macs = 2 * visible * config.query_width();
  cost.bytes =
      (before + count) * static_cast<double>(KvCache::token_bytes(config, 0, formats)) / config.layers;
  return cost;
}

}  // namespace stonechat
