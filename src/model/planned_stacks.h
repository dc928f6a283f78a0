// A model's matrices with the formats that they will be computed in, from its file's header alone.
#pragma once

#include <vector>

#include "gguf/reader.h"
#include "kernels/kernel_table.h"
#include "model/config.h"
#include "model/tensor_plan.h"

namespace stonechat {

struct PlannedStack {
  StackPlan plan;
  WeightFormat format;  // F32 where the file lacks the tensor, as broken ones do
};

// In the order of all_stack_plans(). Error{kBadFile} where a packed file's list of formats is broken.
std::vector<PlannedStack> planned_stacks(const gguf::Reader& file, const ModelConfig& config);

}  // namespace stonechat
