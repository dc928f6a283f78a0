#include "model/tensor_plan.h"

#include <utility>

#include "base/error.h"
#include "kernels/kernel_table.h"

namespace stonechat {
namespace {

std::string in_layer(uint32_t layer, const char* name) {
  return fmt::format("blk.{}.{}", layer, name);
}

}  // namespace

StackPlan embedding_plan(const ModelConfig& config) {
  return {"token_embd.pack", config.width, {{"token_embd.weight", config.vocabulary}}};
}

StackPlan head_plan(const ModelConfig& config) {
  return {"output.pack", config.width, {{"output.weight", config.vocabulary}}};
}

StackPlan qkv_plan(const ModelConfig& config, uint32_t layer) {
  return {in_layer(layer, "attn_qkv.pack"),
          config.width,
          {{in_layer(layer, "attn_q.weight"), config.query_width(), config.rope_pairs_adjacent},
           {in_layer(layer, "attn_k.weight"), config.kv_width(), config.rope_pairs_adjacent},
           {in_layer(layer, "attn_v.weight"), config.kv_width()}}};
}

StackPlan attention_out_plan(const ModelConfig& config, uint32_t layer) {
  return {in_layer(layer, "attn_output.pack"),
          config.query_width(),
          {{in_layer(layer, "attn_output.weight"), config.width}}};
}

StackPlan gate_up_plan(const ModelConfig& config, uint32_t layer) {
  return {in_layer(layer, "ffn_gate_up.pack"),
          config.width,
          {{in_layer(layer, "ffn_gate.weight"), config.mlp_width},
           {in_layer(layer, "ffn_up.weight"), config.mlp_width}},
          kBlock};
}

StackPlan down_plan(const ModelConfig& config, uint32_t layer) {
  return {in_layer(layer, "ffn_down.pack"),
          config.mlp_width,
          {{in_layer(layer, "ffn_down.weight"), config.width}}};
}

std::vector<StackPlan> all_stack_plans(const ModelConfig& config, bool separate_head) {
  std::vector<StackPlan> plans;
  plans.push_back(embedding_plan(config));
  if (separate_head) plans.push_back(head_plan(config));
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    plans.push_back(qkv_plan(config, layer));
    plans.push_back(attention_out_plan(config, layer));
    plans.push_back(gate_up_plan(config, layer));
    plans.push_back(down_plan(config, layer));
  }
  return plans;
}

VectorPlan output_norm_plan(const ModelConfig& config) {
  return {"output_norm.weight", config.width};
}

VectorPlan rope_factors_plan(const ModelConfig& config) {
  return {"rope_freqs.weight", config.head_dim / 2, {"rope_freqs.weight"}, /*above_zero=*/true};
}

VectorPlan attention_norm_plan(const ModelConfig& config, uint32_t layer) {
  return {in_layer(layer, "attn_norm.weight"), config.width};
}

VectorPlan mlp_norm_plan(const ModelConfig& config, uint32_t layer) {
  return {in_layer(layer, "ffn_norm.weight"), config.width};
}

std::vector<VectorPlan> qkv_bias_plans(const ModelConfig& config, uint32_t layer) {
  const std::vector<std::string> names = {in_layer(layer, "attn_q.bias"), in_layer(layer, "attn_k.bias"),
                                          in_layer(layer, "attn_v.bias")};
  return {{names[0], config.query_width(), names},
          {names[1], config.kv_width(), names},
          {names[2], config.kv_width(), names}};
}

std::vector<VectorPlan> all_vector_plans(const ModelConfig& config) {
  std::vector<VectorPlan> plans = {output_norm_plan(config), rope_factors_plan(config)};
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    plans.push_back(attention_norm_plan(config, layer));
    for (VectorPlan& bias : qkv_bias_plans(config, layer)) plans.push_back(std::move(bias));
    plans.push_back(mlp_norm_plan(config, layer));
  }
  return plans;
}

uint32_t row_of_adjacent_pairs(uint32_t row, uint32_t head_dim) {
  const uint32_t within = row % head_dim;
  const uint32_t half = head_dim / 2;
  const uint32_t source = within < half ? 2 * within : 2 * (within - half) + 1;
  return row - within + source;
}

}  // namespace stonechat
