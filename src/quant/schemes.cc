#include "quant/schemes.h"

#include <array>

namespace stonechat {
namespace {

using gguf::TensorType;

// Types of our own have their number as file type: other programs know neither.
constexpr std::array<Scheme, 5> kSchemes = {{
    {"q8_0", TensorType::kQ8_0, "32 weights",
     "code = round(w / d), d = max|w| / 127 as binary16; w' = d * code", "the paper's tables; ggml", "Q8_0",
     7},
    {"q8_t", TensorType::kQ8_T, "tensor", "code = round(w * s), s = 127 / max|w|; w' = code / s",
     "the paper's equations 2 and 3 (3 as printed multiplies by s; its inverse is meant)", "Q8Row",
     1'000'001},
    {"q8_m", TensorType::kQ8_M, "tensor",
     "code = round((w - mean) / (K * deviation) * 127), clipped at +-127; w' = mean + code * K * deviation / "
     "127",
     "the paper's equation 1, where K is 1", "Q8Row", 1'000'002},
    {"q8_r", TensorType::kQ8_R, "row", "code = round(w / d), d = max|w| / 127; w' = d * code",
     "what KleidiAI and XNNPACK compute with", "Q8Row", 1'000'003},
    {"q4_0", TensorType::kQ4_0, "32 weights",
     "code = floor(w / d + 8.5), at most 15, d = the w of largest magnitude / -8 as binary16; w' = d * (code "
     "- 8)",
     "ggml", "Q4_0", 2},
}};

}  // namespace

std::span<const Scheme> schemes() {
  return kSchemes;
}

const Scheme* find_scheme(std::string_view name) {
  for (const Scheme& scheme : kSchemes) {
    if (scheme.name == name) return &scheme;
  }
  return nullptr;
}

const Scheme* find_scheme(gguf::TensorType type) {
  for (const Scheme& scheme : kSchemes) {
    if (scheme.type == type) return &scheme;
  }
  return nullptr;
}

double bytes_a_weight(const Scheme& scheme, uint64_t cols) {
  return static_cast<double>(gguf::row_bytes(scheme.type, cols)) / static_cast<double>(cols);
}

}  // namespace stonechat
