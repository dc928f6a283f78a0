// Which tensors a model of some configuration has, and how its matrices are stacked from them.
//
// Packs hold whole stacks: Q, K and V below each other, gate and up in turns. What is stacked how is said
// here and nowhere else, for loading, for packing, and for the fingerprint of packed files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"

namespace stonechat {

struct StackPart {
  std::string tensor;  // "blk.0.attn_q.weight"
  uint32_t rows;
  // Rows pair dimensions (2i, 2i + 1) of a head in the file, (i, i + head_dim / 2) in the stack.
  bool reorder_pairs = false;
};

// A matrix of (sum of the parts' rows, cols).
struct StackPlan {
  std::string name;  // in packed files, "blk.0.attn_qkv.pack"
  uint32_t cols;
  std::vector<StackPart> parts;
  // 0: the parts lie below each other. Else they have as many rows each, a multiple of turn_rows, and lie in
  // turns: turn_rows rows of the first, of the second, of the first again, and so on.
  uint32_t turn_rows = 0;

  uint32_t rows() const {
    uint32_t sum = 0;
    for (const auto& part : parts) sum += part.rows;
    return sum;
  }
};

StackPlan embedding_plan(const ModelConfig& config);
StackPlan head_plan(const ModelConfig& config);  // where the file has one apart from the embedding
StackPlan qkv_plan(const ModelConfig& config, uint32_t layer);
StackPlan attention_out_plan(const ModelConfig& config, uint32_t layer);
StackPlan gate_up_plan(const ModelConfig& config, uint32_t layer);
StackPlan down_plan(const ModelConfig& config, uint32_t layer);

// All matrices, in the order of packed files: embedding, head, then layer after layer as above.
std::vector<StackPlan> all_stack_plans(const ModelConfig& config, bool separate_head);

struct VectorPlan {
  std::string tensor;
  uint32_t length;
  std::vector<std::string> needed_with = {};  // must be there if one of these is; empty: always
  bool above_zero = false;                    // all values
};

VectorPlan output_norm_plan(const ModelConfig& config);
VectorPlan rope_factors_plan(const ModelConfig& config);
VectorPlan attention_norm_plan(const ModelConfig& config, uint32_t layer);
VectorPlan mlp_norm_plan(const ModelConfig& config, uint32_t layer);
// One for each part of qkv_plan(); a layer has all of them or none.
std::vector<VectorPlan> qkv_bias_plans(const ModelConfig& config, uint32_t layer);

// All vectors, in the order of packed files.
std::vector<VectorPlan> all_vector_plans(const ModelConfig& config);

// The row of a tensor with adjacent pairs that becomes row `row` of its part.
uint32_t row_of_adjacent_pairs(uint32_t row, uint32_t head_dim);

}  // namespace stonechat
