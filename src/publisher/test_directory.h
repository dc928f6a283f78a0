// A small publisher's directory for the tests: a Llama of one layer, well-formed until a test changes it.
#pragma once

#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/strict_json.h"
#include "tests/support/safetensors_builder.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {

struct TestDirectory {
  static constexpr int kWidth = 8, kHeads = 2, kKvHeads = 1, kHeadWidth = 4, kMlp = 6;

  struct Tensor {
    std::string type = "F32";
    std::string shape;  // JSON
    std::string data;
  };

  Json config = {{"architectures", {"LlamaForCausalLM"}},
                 {"hidden_size", kWidth},
                 {"intermediate_size", kMlp},
                 {"max_position_embeddings", 64},
                 {"num_attention_heads", kHeads},
                 {"num_hidden_layers", 1},
                 {"num_key_value_heads", kKvHeads},
                 {"rms_norm_eps", 1e-5},
                 {"tie_word_embeddings", true},
                 {"vocab_size", 6}};
  Json tokenizer = {
      {"added_tokens", {{{"id", 4}, {"content", "<|end|>"}, {"special", true}}}},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model",
       {{"type", "BPE"},
        {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}, {"aba", 3}}},
        {"merges", {"a b", "ab a"}}}}};
  Json tokenizer_config = {{"eos_token", "<|end|>"}, {"chat_template", "{{ messages }}"}};
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> shard_of;     // by tensor; empty: one file without index
  std::map<std::string, std::string> other_files;  // written last

  TestDirectory() {
    const std::string layer = "model.layers.0.";
    add("model.embed_tokens.weight", {6, kWidth});
    add("model.norm.weight", {kWidth});
    add(layer + "input_layernorm.weight", {kWidth});
    add(layer + "post_attention_layernorm.weight", {kWidth});
    add(layer + "self_attn.q_proj.weight", {kHeads * kHeadWidth, kWidth});
    add(layer + "self_attn.k_proj.weight", {kKvHeads * kHeadWidth, kWidth});
    add(layer + "self_attn.v_proj.weight", {kKvHeads * kHeadWidth, kWidth});
    add(layer + "self_attn.o_proj.weight", {kWidth, kHeads * kHeadWidth});
    add(layer + "mlp.gate_proj.weight", {kMlp, kWidth});
    add(layer + "mlp.up_proj.weight", {kMlp, kWidth});
    add(layer + "mlp.down_proj.weight", {kWidth, kMlp});
  }

  // Values 0, 1, 2, ...
  void add(const std::string& name, const std::vector<int>& shape) {
    int elements = 1;
    for (const int size : shape) elements *= size;
    std::vector<float> values(static_cast<size_t>(elements));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
    std::string data(values.size() * sizeof(float), '\0');
    if (!data.empty()) std::memcpy(data.data(), values.data(), data.size());
    tensors[name] = {"F32", Json(shape).dump(), data};
  }

  void write(const std::string& path) const {
    const auto put = [&](const std::string& name, const std::string& text) {
      std::ofstream(path + "/" + name, std::ios::binary) << text;
    };
    put("config.json", config.dump());
    put("tokenizer.json", tokenizer.dump());
    if (!tokenizer_config.is_null()) put("tokenizer_config.json", tokenizer_config.dump());
    std::map<std::string, SafetensorsBuilder> files;
    for (const auto& [name, tensor] : tensors) {
      const auto shard = shard_of.find(name);
      const std::string file = shard == shard_of.end() ? "model.safetensors" : shard->second;
      files[file].tensor(name, tensor.type, tensor.shape, tensor.data);
    }
    for (const auto& [name, builder] : files) builder.write(path + "/" + name);
    if (!shard_of.empty()) put("model.safetensors.index.json", Json{{"weight_map", shard_of}}.dump());
    for (const auto& [name, text] : other_files) put(name, text);
  }
};

}  // namespace stonechat
