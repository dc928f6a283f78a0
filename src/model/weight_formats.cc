#include "model/weight_formats.h"

#include <vector>

#include "model/tensor_plan.h"

namespace stonechat {

WeightFormat compute_format(gguf::TensorType type) {
  using gguf::TensorType;
  switch (type) {
    case TensorType::kF32:
      return kWeightF32;
    case TensorType::kF16:
      return kWeightF16;
    case TensorType::kBF16:
      return kWeightBf16;
    case TensorType::kQ8_T:
    case TensorType::kQ8_M:
    case TensorType::kQ8_R:
      return kWeightQ8Row;
    case TensorType::kQ4_0:
      return kWeightQ4_0;
    default:
      return kWeightQ8_0;
  }
}

gguf::TensorType tensor_type(WeightFormat format) {
  using gguf::TensorType;
  switch (format) {
    case kWeightF32:
      return TensorType::kF32;
    case kWeightF16:
      return TensorType::kF16;
    case kWeightBf16:
      return TensorType::kBF16;
    case kWeightQ8Row:
      return TensorType::kQ8_R;
    case kWeightQ4_0:
      return TensorType::kQ4_0;
    case kWeightQ8_0:
      break;
  }
  return TensorType::kQ8_0;
}

bool is_stored_as(gguf::TensorType type, WeightFormat format) {
  return compute_format(type) == format && (type == tensor_type(format) || gguf::has_row_header(type));
}

WeightFormat common_format(std::span<const gguf::TensorType> types) {
  const WeightFormat first = compute_format(types[0]);
  bool equal = true;
  bool all_blocks = true;
  for (const gguf::TensorType type : types) {
    const WeightFormat format = compute_format(type);
    equal = equal && format == first;
    all_blocks = all_blocks && (format == kWeightQ8_0 || format == kWeightQ4_0);
  }
  if (equal) return first;
  return all_blocks ? kWeightQ8_0 : kWeightF32;
}

std::map<std::string, WeightFormat> matrix_formats(const gguf::Reader& file, const ModelConfig& config) {
  std::map<std::string, WeightFormat> formats;
  for (const StackPlan& plan : all_stack_plans(config, file.find_tensor("output.weight") != nullptr)) {
    std::vector<const gguf::TensorInfo*> tensors;
    std::vector<gguf::TensorType> types;
    for (const StackPart& part : plan.parts) {
      const gguf::TensorInfo* tensor = file.find_tensor(part.tensor);
      if (tensor == nullptr) continue;
      tensors.push_back(tensor);
      types.push_back(tensor->type);
    }
    for (const gguf::TensorInfo* tensor : tensors) formats[tensor->name] = common_format(types);
  }
  return formats;
}

}  // namespace stonechat
