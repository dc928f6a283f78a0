#include "quant/taps.h"

namespace stonechat {
namespace {

struct TapText {
  std::string_view name;
  std::string_view title;
};

constexpr std::array<TapText, kTaps> kTexts = {{
    {"attn_qkv.in", "attention input"},
    {"attn_q.out", "queries"},
    {"attn_k.out", "keys, with bias"},
    {"attn_k.rotated", "keys, rotated"},
    {"attn_v.out", "values"},
    {"attn_output.in", "attention output's input"},
    {"attn_output.out", "attention output"},
    {"ffn_gate_up.in", "MLP input"},
    {"ffn_gate.out", "gate"},
    {"ffn_up.out", "up"},
    {"ffn_down.in", "down input"},
    {"ffn_down.out", "down output"},
    {"output.in", "head input"},
    {"output.out", "logits"},
}};

}  // namespace

std::string_view name(Tap tap) {
  return kTexts[static_cast<size_t>(tap)].name;
}

std::string_view title(Tap tap) {
  return kTexts[static_cast<size_t>(tap)].title;
}

uint32_t TapShape::channels(Tap tap) const {
  switch (tap) {
    case Tap::kQueryOut:
    case Tap::kAttentionIn:
      return heads * head_dim;
    case Tap::kKeyOut:
    case Tap::kKeyRotated:
    case Tap::kValueOut:
      return kv_heads * head_dim;
    case Tap::kGateOut:
    case Tap::kUpOut:
    case Tap::kDownIn:
      return mlp_width;
    case Tap::kHeadOut:
      return vocabulary;
    default:
      return width;
  }
}

uint32_t TapShape::own_heads(Tap tap) const {
  return tap == Tap::kKeyOut || tap == Tap::kKeyRotated || tap == Tap::kValueOut ? kv_heads : 0;
}

std::string TapPlace::name() const {
  std::string text = is_of_layer(tap) ? "blk." + std::to_string(layer) + "." : "";
  return text.append(stonechat::name(tap));
}

std::vector<TapPlace> all_taps(uint32_t layers) {
  std::vector<TapPlace> places;
  for (uint32_t layer = 0; layer < layers; ++layer) {
    for (uint32_t tap = 0; tap < kLayerTaps; ++tap) places.push_back({static_cast<Tap>(tap), layer});
  }
  for (uint32_t tap = kLayerTaps; tap < kTaps; ++tap) places.push_back({static_cast<Tap>(tap), 0});
  return places;
}

}  // namespace stonechat
