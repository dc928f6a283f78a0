#include "publisher/tensor_roles.h"

#include <fmt/format.h>

namespace stonechat {

std::map<std::string, TensorRole> tensor_roles(const PublisherConfig& config) {
  std::map<std::string, TensorRole> roles;
  const bool llama = config.architecture == "llama";
  const uint64_t query_heads = llama ? config.heads : 0;
  const uint64_t key_heads = llama ? config.kv_heads.value_or(config.heads) : 0;
  // Qwen2's attention always has these biases; Llama's has them when attention_bias says so.
  const bool needs_bias = !llama;
  roles["model.embed_tokens.weight"] = {"token_embd.weight", {config.vocabulary, config.width}};
  roles["model.norm.weight"] = {"output_norm.weight", {config.width}};
  roles["lm_head.weight"] = {"output.weight", {config.vocabulary, config.width}, !config.tied_embeddings};
  for (uint64_t layer = 0; layer < config.layers; ++layer) {
    const auto add = [&](const char* theirs, const char* ours, TensorRole role) {
      role.name = fmt::format("blk.{}.{}", layer, ours);
      roles[fmt::format("model.layers.{}.{}", layer, theirs)] = std::move(role);
    };
    const uint64_t width = config.width;
    const uint64_t mlp = config.mlp_width;
    const uint64_t query = config.query_width();
    const uint64_t kv = config.kv_width();
    add("input_layernorm.weight", "attn_norm.weight", {"", {width}});
    add("post_attention_layernorm.weight", "ffn_norm.weight", {"", {width}});
    add("self_attn.q_proj.weight", "attn_q.weight", {"", {query, width}, true, query_heads});
    add("self_attn.k_proj.weight", "attn_k.weight", {"", {kv, width}, true, key_heads});
    add("self_attn.v_proj.weight", "attn_v.weight", {"", {kv, width}});
    add("self_attn.q_proj.bias", "attn_q.bias", {"", {query}, needs_bias, query_heads});
    add("self_attn.k_proj.bias", "attn_k.bias", {"", {kv}, needs_bias, key_heads});
    add("self_attn.v_proj.bias", "attn_v.bias", {"", {kv}, needs_bias});
    add("self_attn.o_proj.weight", "attn_output.weight", {"", {width, query}});
    add("mlp.gate_proj.weight", "ffn_gate.weight", {"", {mlp, width}});
    add("mlp.up_proj.weight", "ffn_up.weight", {"", {mlp, width}});
    add("mlp.down_proj.weight", "ffn_down.weight", {"", {width, mlp}});
  }
  return roles;
}

bool is_left_out(std::string_view name) {
  return name.ends_with(".rotary_emb.inv_freq") || name.ends_with(".attention.bias") ||
         name.ends_with(".attention.masked_bias");
}

uint64_t source_row(uint64_t row, uint64_t head_width) {
  const uint64_t within = row % head_width;
  return row - within + within / 2 + (within % 2) * (head_width / 2);
}

}  // namespace stonechat
