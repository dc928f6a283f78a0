#include "publisher/config.h"

#include <cmath>
#include <numbers>

#include "base/error.h"
#include "tokenizer/byte_pairs.h"

namespace stonechat {
namespace {

// Far above every model of the two architectures, far below what would overflow a product.
constexpr uint64_t kMostLayers = 1024;
constexpr uint64_t kMostWidth = 1 << 17;
constexpr uint64_t kMostHeads = 1024;
constexpr uint64_t kMostVocabulary = BytePairs::kMostTokens;
constexpr uint64_t kMostContext = 1 << 27;
constexpr double kMostFactor = 1e6;

std::string architecture_of(const JsonFields& config) {
  const Json& names = config.get_array("architectures");
  if (names.size() == 1 && names[0] == "Qwen2ForCausalLM") return "qwen2";
  if (names.size() == 1 && names[0] == "LlamaForCausalLM") return "llama";
  fail(ErrorKind::kBadFile, "{}: architectures: expected Qwen2ForCausalLM or LlamaForCausalLM, found {}",
       config.file(), names.size() == 1 ? json_text(names[0]) : json_text(names));
}

void read_scaling(const JsonFields& fields, const std::string& type, PublisherRope& rope) {
  using Scaling = PublisherRope::Scaling;
  if (type == "default") return;
  if (type != "linear" && type != "yarn" && type != "llama3") {
    fail(ErrorKind::kBadFile,
         "{}: type of the rotation's scaling: expected default, linear, yarn or llama3, found '{}'",
         fields.file(), type);
  }
  rope.factor = fields.get_number("factor", 1e-3, kMostFactor);
  if (type == "linear") {
    rope.scaling = Scaling::kLinear;
    return;
  }
  rope.original_context = fields.get_uint("original_max_position_embeddings", 1, kMostContext);
  if (type == "yarn") {
    rope.scaling = Scaling::kYarn;
    rope.yarn_extrapolation = fields.find_number("extrapolation_factor", -kMostFactor, kMostFactor);
    rope.yarn_attention = fields.find_number("attention_factor", 0, kMostFactor);
    if (!rope.yarn_attention) rope.yarn_attention = fields.find_number("attn_factor", 0, kMostFactor);
    rope.yarn_beta_fast = fields.find_number("beta_fast", 0, kMostFactor);
    rope.yarn_beta_slow = fields.find_number("beta_slow", 0, kMostFactor);
    return;
  }
  rope.scaling = Scaling::kLlama3;
  rope.low_frequency_factor = fields.find_number("low_freq_factor", 1e-3, kMostFactor).value_or(1);
  rope.high_frequency_factor = fields.find_number("high_freq_factor", 1e-3, kMostFactor).value_or(4);
  if (rope.high_frequency_factor <= rope.low_frequency_factor)
    fields.refuse("high_freq_factor", "more than low_freq_factor");
}

// transformers 5 has one object rope_parameters where earlier ones have rope_theta and rope_scaling.
PublisherRope read_rope(const JsonFields& config) {
  PublisherRope rope;
  rope.base = config.find_number("rope_theta", 1, 1e12);
  auto fields = config.find_object("rope_parameters");
  if (!fields) fields = config.find_object("rope_scaling");
  if (!fields) return rope;
  if (const auto base = fields->find_number("rope_theta", 1, 1e12)) rope.base = base;
  auto type = fields->find_string("rope_type");
  if (!type) type = fields->find_string("type");
  read_scaling(*fields, type.value_or("default"), rope);
  return rope;
}

// What would change the model's numbers and has no place in the metadata.
void refuse_unsupported(const JsonFields& config) {
  if (config.find("quantization_config") != nullptr)
    config.refuse("quantization_config", "nothing, as only weights in floats are read");
  if (config.find_string("hidden_act").value_or("silu") != "silu") config.refuse("hidden_act", "silu");
  if (config.find_bool("use_sliding_window").value_or(false))
    config.refuse("use_sliding_window", "false, as attention windows aren't supported");
  if (config.find_bool("mlp_bias").value_or(false)) config.refuse("mlp_bias", "false");
}

gguf::Value uint_value(uint64_t value) {
  return gguf::Value::of_uint32(static_cast<uint32_t>(value));
}

gguf::Value float_value(double value) {
  return gguf::Value::of_float32(static_cast<float>(value));
}

void add_rope_scaling(const PublisherRope& rope, const std::string& prefix, gguf::Metadata& metadata) {
  using Scaling = PublisherRope::Scaling;
  if (rope.scaling != Scaling::kLinear && rope.scaling != Scaling::kYarn) return;
  const bool yarn = rope.scaling == Scaling::kYarn;
  metadata.set(prefix + "type", gguf::Value::of_string(yarn ? "yarn" : "linear"));
  metadata.set(prefix + "factor", float_value(rope.factor));
  if (!yarn) return;
  metadata.set(prefix + "original_context_length", uint_value(rope.original_context));
  const std::pair<const char*, std::optional<double>> optional[] = {
      {"yarn_ext_factor", rope.yarn_extrapolation},
      {"yarn_attn_factor", rope.yarn_attention},
      {"yarn_beta_fast", rope.yarn_beta_fast},
      {"yarn_beta_slow", rope.yarn_beta_slow}};
  for (const auto& [key, value] : optional) {
    if (value) metadata.set(prefix + key, float_value(*value));
  }
}

}  // namespace

PublisherConfig PublisherConfig::from(const JsonFields& json) {
  PublisherConfig config;
  config.architecture = architecture_of(json);
  refuse_unsupported(json);
  config.layers = json.get_uint("num_hidden_layers", 1, kMostLayers);
  config.context_length = json.get_uint("max_position_embeddings", 1, kMostContext);
  config.width = json.get_uint("hidden_size", 1, kMostWidth);
  config.mlp_width = json.get_uint("intermediate_size", 1, kMostWidth);
  config.heads = json.get_uint("num_attention_heads", 1, kMostHeads);
  config.kv_heads = json.find_uint("num_key_value_heads", 1, kMostHeads);
  config.head_dim = json.find_uint("head_dim", 2, kMostWidth);
  config.vocabulary = json.get_uint("vocab_size", 1, kMostVocabulary);
  config.rms_epsilon = json.get_number("rms_norm_eps", 1e-12, 1);
  config.tied_embeddings = json.find_bool("tie_word_embeddings").value_or(false);
  config.rope = read_rope(json);
  if (!config.head_dim && config.width % config.heads != 0) {
    json.refuse("hidden_size", fmt::format("a multiple of the {} heads", config.heads));
  }
  if (config.heads % config.kv_heads.value_or(config.heads) != 0) {
    json.refuse("num_key_value_heads", fmt::format("a divisor of the {} heads", config.heads));
  }
  if (config.head_width() % 2 != 0)
    json.refuse(config.head_dim ? "head_dim" : "hidden_size", "heads of even width");
  return config;
}

// Llama 3's rule: frequencies whose wave is short beside the original context stay, those of long waves are
// divided by the factor, and those between are blended. In binary32, as torch computes it.
std::vector<float> PublisherConfig::rope_factors() const {
  std::vector<float> factors;
  if (rope.scaling != PublisherRope::Scaling::kLlama3) return factors;
  const auto factor = static_cast<float>(rope.factor);
  const auto low = static_cast<float>(rope.low_frequency_factor);
  const auto high = static_cast<float>(rope.high_frequency_factor);
  const auto context = static_cast<float>(rope.original_context);
  const auto base = static_cast<float>(rope.base.value_or(10000));
  const uint64_t dimensions = head_width();
  for (uint64_t i = 0; i < dimensions; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(dimensions);
    const float frequency = 1.0F / std::pow(base, exponent);
    const float wave = 2 * std::numbers::pi_v<float> / frequency;
    if (wave < context / high) {
      factors.push_back(1);
    } else if (wave > context / low) {
      factors.push_back(factor);
    } else {
      const float smooth = (context / wave - low) / (high - low);
      factors.push_back(1 / ((1 - smooth) / factor + smooth));
    }
  }
  return factors;
}

void add_hyperparameters(const PublisherConfig& config, gguf::Metadata& metadata) {
  const std::string prefix = config.architecture + ".";
  metadata.set(prefix + "block_count", uint_value(config.layers));
  metadata.set(prefix + "context_length", uint_value(config.context_length));
  metadata.set(prefix + "embedding_length", uint_value(config.width));
  metadata.set(prefix + "feed_forward_length", uint_value(config.mlp_width));
  metadata.set(prefix + "attention.head_count", uint_value(config.heads));
  if (config.kv_heads) metadata.set(prefix + "attention.head_count_kv", uint_value(*config.kv_heads));
  add_rope_scaling(config.rope, prefix + "rope.scaling.", metadata);
  if (config.rope.base) metadata.set(prefix + "rope.freq_base", float_value(*config.rope.base));
  metadata.set(prefix + "attention.layer_norm_rms_epsilon", float_value(config.rms_epsilon));
  if (config.head_dim) {
    metadata.set(prefix + "attention.key_length", uint_value(*config.head_dim));
    metadata.set(prefix + "attention.value_length", uint_value(*config.head_dim));
  }
  metadata.set("general.file_type", uint_value(0));
  if (config.architecture != "llama") return;
  metadata.set(prefix + "vocab_size", uint_value(config.vocabulary));
  metadata.set(prefix + "rope.dimension_count", uint_value(config.head_width()));
}

}  // namespace stonechat
