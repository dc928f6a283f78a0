// A small random model for tests: the values, and a GGUF file of them.
#pragma once

#include <cmath>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "gguf/writer.h"
#include "quant/encode.h"

namespace stonechat {

struct TestModel {
  std::string architecture = "qwen2";
  uint32_t layers = 2;
  uint32_t width = 64;
  uint32_t heads = 4;
  uint32_t kv_heads = 2;
  uint32_t head_dim = 32;
  uint32_t mlp_width = 96;
  uint32_t vocabulary = 50;
  double rope_base = 10000;
  bool separate_head = false;
  bool bias = true;
  std::vector<float> rope_factors;
  std::map<std::string, std::vector<uint64_t>> shapes;  // columns first
  std::map<std::string, std::vector<float>> values;

  // Fills shapes and values from the numbers above.
  void make(uint32_t seed) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal;
    const auto add = [&](const std::string& name, std::vector<uint64_t> shape, float mean, float deviation) {
      size_t count = 1;
      for (const uint64_t size : shape) count *= size;
      std::vector<float>& tensor = values[name];
      for (size_t i = 0; i < count; ++i) tensor.push_back(mean + deviation * normal(engine));
      shapes[name] = std::move(shape);
    };
    const auto matrix = [&](const std::string& name, uint32_t rows, uint32_t cols) {
      add(name, {cols, rows}, 0, 1 / std::sqrt(static_cast<float>(cols)));
    };
    const uint32_t q = heads * head_dim;
    const uint32_t k = kv_heads * head_dim;
    matrix("token_embd.weight", vocabulary, width);
    if (separate_head) matrix("output.weight", vocabulary, width);
    add("output_norm.weight", {width}, 1, 0.1F);
    if (!rope_factors.empty()) {
      shapes["rope_freqs.weight"] = {rope_factors.size()};
      values["rope_freqs.weight"] = rope_factors;
    }
    for (uint32_t layer = 0; layer < layers; ++layer) {
      const std::string prefix = "blk." + std::to_string(layer) + ".";
      add(prefix + "attn_norm.weight", {width}, 1, 0.1F);
      add(prefix + "ffn_norm.weight", {width}, 1, 0.1F);
      matrix(prefix + "attn_q.weight", q, width);
      matrix(prefix + "attn_k.weight", k, width);
      matrix(prefix + "attn_v.weight", k, width);
      matrix(prefix + "attn_output.weight", width, q);
      matrix(prefix + "ffn_gate.weight", mlp_width, width);
      matrix(prefix + "ffn_up.weight", mlp_width, width);
      matrix(prefix + "ffn_down.weight", width, mlp_width);
      if (bias) {
        add(prefix + "attn_q.bias", {q}, 0, 0.5F);
        add(prefix + "attn_k.bias", {k}, 0, 5.0F);
        add(prefix + "attn_v.bias", {k}, 0, 0.5F);
      }
    }
  }

  gguf::Metadata metadata() const {
    using gguf::Value;
    gguf::Metadata result;
    result.set("general.architecture", Value::of_string(architecture));
    const auto number = [&](const char* key, uint32_t value) {
      result.set(architecture + "." + key, Value::of_uint32(value));
    };
    number("block_count", layers);
    number("embedding_length", width);
    number("feed_forward_length", mlp_width);
    number("attention.head_count", heads);
    number("attention.head_count_kv", kv_heads);
    number("attention.key_length", head_dim);
    number("attention.value_length", head_dim);
    number("context_length", 512);
    result.set(architecture + ".attention.layer_norm_rms_epsilon", Value::of_float32(1e-6F));
    result.set(architecture + ".rope.freq_base", Value::of_float32(static_cast<float>(rope_base)));
    return result;
  }

  // Matrices in `type`, vectors in F32.
  void write(const std::string& path, gguf::TensorType type, const gguf::Metadata& header) const {
    write(
        path, [type](const std::string&) { return type; }, header);
  }
  void write(const std::string& path, const std::function<gguf::TensorType(const std::string&)>& type_of,
             const gguf::Metadata& header) const {
    std::vector<gguf::TensorSpec> specs;
    for (const auto& [name, shape] : shapes) {
      specs.push_back({name, shape.size() > 1 ? type_of(name) : gguf::TensorType::kF32, shape});
    }
    gguf::Writer writer(path, header, specs);
    for (const auto& spec : specs) {
      const std::vector<float>& tensor = values.at(spec.name);
      std::vector<std::byte> bytes(spec.bytes());
      const uint64_t cols = spec.shape[0];
      const uint64_t row_bytes = gguf::row_bytes(spec.type, cols);
      for (uint64_t row = 0; row < tensor.size() / cols; ++row)
        encode(spec.type, tensor.data() + row * cols, cols, bytes.data() + row * row_bytes);
      writer.write_tensor_data(bytes);
    }
    writer.finish();
  }
};

}  // namespace stonechat
