#include "model/tensor_shelf.h"

#include <algorithm>

#include "base/error.h"
#include "quant/decode.h"

namespace stonechat {

std::vector<MatrixStack::Part> stack_parts(const StackPlan& plan, uint32_t head_dim,
                                           const std::vector<const gguf::TensorInfo*>& tensors) {
  std::vector<MatrixStack::Part> parts;
  const uint32_t turns = plan.turn_rows == 0 ? 1 : plan.parts[0].rows / plan.turn_rows;
  for (uint32_t turn = 0; turn < turns; ++turn) {
    for (size_t i = 0; i < plan.parts.size(); ++i) {
      const uint32_t rows = plan.parts[i].rows / turns;
      MatrixStack::Part part{tensors[i], turn * rows, rows, {}};
      if (plan.parts[i].reorder_pairs) {
        part.source_row = [head_dim](uint32_t row) { return row_of_adjacent_pairs(row, head_dim); };
      }
      parts.push_back(std::move(part));
    }
  }
  return parts;
}

const gguf::TensorInfo& TensorShelf::take(const std::string& name, const std::vector<uint64_t>& shape) {
  const gguf::TensorInfo* tensor = file_.find_tensor(name);
  if (tensor == nullptr) fail(ErrorKind::kBadFile, "{}: tensor {} is missing", file_.path(), name);
  if (tensor->shape != shape) {
    fail(ErrorKind::kBadFile, "{}: tensor {}: expected shape {}, found {}", file_.path(), name,
         gguf::shape_text(shape), gguf::shape_text(tensor->shape));
  }
  taken_.insert(name);
  return *tensor;
}

std::vector<float> TensorShelf::vector(const VectorPlan& plan) {
  const auto is_there = [&](const std::string& name) { return has(name); };
  if (!plan.needed_with.empty() && std::ranges::none_of(plan.needed_with, is_there)) return {};
  const gguf::TensorInfo& tensor = take(plan.tensor, {plan.length});
  if (tensor.type == gguf::TensorType::kI8) {
    fail(ErrorKind::kBadFile, "{}: tensor {}: expected floats, found I8", file_.path(), tensor.name);
  }
  std::vector<std::byte> stored(tensor.bytes);
  file_.read_rows(tensor, 0, tensor.rows(), stored);
  std::vector<float> values(plan.length);
  decode(tensor.type, stored.data(), plan.length, values.data());
  check_finite(file_.path(), tensor, values);
  for (const float value : values) {
    if (plan.above_zero && !(value > 0)) {
      fail(ErrorKind::kBadFile, "{}: tensor {}: expected values above 0, found {}", file_.path(), tensor.name,
           value);
    }
  }
  return values;
}

std::vector<float> TensorShelf::qkv_bias(const ModelConfig& config, uint32_t layer) {
  const StackPlan stack = qkv_plan(config, layer);
  const std::vector<VectorPlan> plans = qkv_bias_plans(config, layer);
  std::vector<float> bias;
  for (size_t i = 0; i < plans.size(); ++i) {
    const std::vector<float> part = vector(plans[i]);
    const bool reorder = stack.parts[i].reorder_pairs;
    for (uint32_t row = 0; row < part.size(); ++row)
      bias.push_back(part[reorder ? row_of_adjacent_pairs(row, config.head_dim) : row]);
  }
  return bias;
}

MatrixStack TensorShelf::stack(const StackPlan& plan, uint32_t head_dim) {
  std::vector<const gguf::TensorInfo*> tensors;
  for (const auto& part : plan.parts) {
    tensors.push_back(&take(part.tensor, {plan.cols, part.rows}));
    if (tensors.back()->type == gguf::TensorType::kI8) {
      fail(ErrorKind::kBadFile, "{}: tensor {}: expected weights, found I8", file_.path(), part.tensor);
    }
  }
  return {file_.path(), stack_parts(plan, head_dim, tensors),
          [&file = file_](const gguf::TensorInfo& tensor, uint64_t first, uint64_t rows,
                          std::span<std::byte> destination) {
            file.read_rows(tensor, first, rows, destination);
          }};
}

void TensorShelf::check_all_taken() const {
  for (const auto& tensor : file_.tensors()) {
    if (!taken_.contains(tensor.name)) {
      fail(ErrorKind::kBadFile, "{}: tensor {}: not one of this architecture's", file_.path(), tensor.name);
    }
  }
}

}  // namespace stonechat
