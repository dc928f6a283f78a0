// Hands out a file's tensors by name, checks their shapes, and remembers which ones were taken.
//
// Errors: Error{kBadFile} naming file, tensor, expected, found. The reader must outlive the shelf and its
// stacks.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "gguf/reader.h"
#include "model/matrix_stack.h"
#include "model/tensor_plan.h"

namespace stonechat {

class TensorShelf {
 public:
  explicit TensorShelf(const gguf::Reader& file) : file_(file) {}

  bool has(const std::string& name) const { return file_.find_tensor(name) != nullptr; }
  // The tensor, which must have this shape, columns first.
  const gguf::TensorInfo& take(const std::string& name, const std::vector<uint64_t>& shape);
  // Values of a tensor of one dimension, as floats, all finite; empty where it needn't be there and isn't.
  std::vector<float> vector(const VectorPlan& plan);
  // In the order of the stack's rows, or empty.
  std::vector<float> qkv_bias(const ModelConfig& config, uint32_t layer);
  MatrixStack stack(const StackPlan& plan, uint32_t head_dim);
  // A file with tensors that we don't compute with isn't the model that we think it is.
  void check_all_taken() const;

 private:
  const gguf::Reader& file_;
  std::set<std::string> taken_;
};

// The parts of a stack over these tensors, one for each of the plan's.
std::vector<MatrixStack::Part> stack_parts(const StackPlan& plan, uint32_t head_dim,
                                           const std::vector<const gguf::TensorInfo*>& tensors);

}  // namespace stonechat
