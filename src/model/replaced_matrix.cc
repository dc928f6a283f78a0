#include "model/replaced_matrix.h"

#include <algorithm>

#include "model/matrix_stack.h"
#include "model/tensor_shelf.h"
#include "quant/decode.h"
#include "quant/encode.h"
#include "quant/tensor_scale.h"

namespace stonechat {
namespace {

void read_replaced(const gguf::Reader& file, const gguf::TensorInfo& source, const Replacement& replacement,
                   uint64_t first, uint64_t rows, std::span<std::byte> destination) {
  std::vector<std::byte> stored(rows * source.row_bytes());
  file.read_rows(source, first, rows, stored);
  std::vector<float> values(rows * source.cols());
  decode_rows(source.type, stored.data(), rows, source.cols(), values.data());
  replacement.encode(values, source.cols(), destination);
}

MatrixStack replaced_stack(const gguf::Reader& file, const StackPlan& plan, uint32_t head_dim,
                           const ReplacementByTensor& replacements, std::vector<gguf::TensorInfo>& infos) {
  for (const StackPart& part : plan.parts) {
    infos.push_back(*file.find_tensor(part.tensor));
    const auto found = replacements.find(part.tensor);
    if (found != replacements.end()) infos.back().type = found->second.type;
  }
  std::vector<const gguf::TensorInfo*> tensors;
  for (const gguf::TensorInfo& one : infos) tensors.push_back(&one);
  return {
      file.path(), stack_parts(plan, head_dim, tensors),
      [&](const gguf::TensorInfo& tensor, uint64_t first, uint64_t rows, std::span<std::byte> destination) {
        const gguf::TensorInfo& source = *file.find_tensor(tensor.name);
        const auto found = replacements.find(tensor.name);
        if (found == replacements.end()) return file.read_rows(source, first, rows, destination);
        read_replaced(file, source, found->second, first, rows, destination);
      }};
}

}  // namespace

ReplacementByTensor quantized(const gguf::Reader& file, const TypeByTensor& types, ThreadPool& pool) {
  ReplacementByTensor replacements;
  for (const auto& [name, type] : types) {
    const gguf::TensorInfo& source = *file.find_tensor(name);
    if (source.type == type) continue;
    const RowScale scale = tensor_scale(type, 0, TensorStream(file, source), pool, [](uint64_t) {}).scale;
    replacements[name] = {type, [type = type, scale](std::span<const float> values, uint64_t cols,
                                                     std::span<std::byte> destination) {
                            encode_rows(type, scale, values, cols, destination.data());
                          }};
  }
  return replacements;
}

ReplacedMatrices::ReplacedMatrices(const gguf::Reader& file, Weights& weights, const KernelTable& kernels,
                                   ThreadPool& pool, const ReplacementByTensor& replacements)
    : ReplacedMatrices() {
  const std::vector<StackPlan> plans = all_stack_plans(weights.config, weights.head.has_value());
  const std::vector<PackedMatrix*> matrices = weights.matrices();
  PackArena arena;
  for (size_t i = 0; i < plans.size(); ++i) {
    const bool concerned =
        std::any_of(plans[i].parts.begin(), plans[i].parts.end(),
                    [&](const StackPart& part) { return replacements.contains(part.tensor); });
    if (!concerned) continue;
    std::vector<gguf::TensorInfo> infos;
    const MatrixStack stack = replaced_stack(file, plans[i], weights.config.head_dim, replacements, infos);
    PackedMatrix replaced(stack, kernels, arena, pool);
    originals_.emplace_back(matrices[i], std::exchange(*matrices[i], std::move(replaced)));
  }
}

ReplacedMatrices::~ReplacedMatrices() {
  for (auto& [matrix, original] : originals_) *matrix = std::move(original);
}

}  // namespace stonechat
