// Where calibration looks at a model: the inputs and outputs of its linear layers, and its keys and values.
//
// A tap's values are a matrix of (tokens, channels). Layers that share an input share its tap.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stonechat {

enum class Tap : uint8_t {
  kQkvIn,         // of attn_q, attn_k, attn_v: the attention norm's output
  kQueryOut,      // with its bias, before the rotation
  kKeyOut,        // with its bias, before the rotation
  kKeyRotated,    // after it
  kValueOut,      // with its bias
  kAttentionIn,   // of attn_output: what attention has mixed
  kAttentionOut,  // before it is added to the residual stream
  kGateUpIn,      // of ffn_gate and ffn_up: the MLP norm's output
  kGateOut,       // before SiLU
  kUpOut,
  kDownIn,   // SiLU(gate) x up
  kDownOut,  // before it is added to the residual stream
  kHeadIn,   // the output norm's output
  kHeadOut,  // logits
};
inline constexpr uint32_t kLayerTaps = 12;  // the others are there once
inline constexpr uint32_t kTaps = 14;

// "attn_qkv.in": as files name it, after "blk.N." for those of a layer.
std::string_view name(Tap tap);
// "attention input": as people are told.
std::string_view title(Tap tap);
inline bool is_of_layer(Tap tap) {
  return static_cast<uint32_t>(tap) < kLayerTaps;
}

// The numbers of a model that say which taps it has, and how wide they are.
struct TapShape {
  uint32_t layers = 0;
  uint32_t width = 0;
  uint32_t heads = 0;
  uint32_t kv_heads = 0;
  uint32_t head_dim = 0;
  uint32_t mlp_width = 0;
  uint32_t vocabulary = 0;

  bool operator==(const TapShape&) const = default;
  uint32_t channels(Tap tap) const;
  // Heads that have statistics of their own: kv_heads for keys and values, else 0.
  uint32_t own_heads(Tap tap) const;
};

struct TapPlace {
  Tap tap;
  uint32_t layer;  // 0 for those that are there once

  std::string name() const;  // "blk.0.attn_qkv.in", "output.in"
};

// All of a model, layer after layer, then the head's.
std::vector<TapPlace> all_taps(uint32_t layers);
// The place of one in that list.
inline size_t index_of(Tap tap, uint32_t layer, uint32_t layers) {
  const auto number = static_cast<size_t>(tap);
  return is_of_layer(tap) ? size_t{layer} * kLayerTaps + number
                          : size_t{layers} * kLayerTaps + number - kLayerTaps;
}

}  // namespace stonechat
