#include "model/planned_stacks.h"

#include "model/packed_file.h"
#include "model/weight_formats.h"

namespace stonechat {

std::vector<PlannedStack> planned_stacks(const gguf::Reader& file, const ModelConfig& config) {
  const bool packed = is_packed(file.metadata());
  const bool has_head = file.find_tensor(packed ? head_plan(config).name : "output.weight") != nullptr;
  const std::vector<StackPlan> plans = all_stack_plans(config, has_head);
  std::vector<WeightFormat> formats;
  if (packed) formats = packed_formats(file.metadata(), plans.size());
  const auto by_tensor = matrix_formats(file, config);  // empty for a packed file
  std::vector<PlannedStack> stacks;
  for (size_t i = 0; i < plans.size(); ++i) {
    const auto found = by_tensor.find(plans[i].parts[0].tensor);
    stacks.push_back({plans[i], packed ? formats[i] : found != by_tensor.end() ? found->second : kWeightF32});
  }
  return stacks;
}

}  // namespace stonechat
