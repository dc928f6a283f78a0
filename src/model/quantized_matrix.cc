#include "model/quantized_matrix.h"

#include <vector>

#include "model/matrix_stack.h"
#include "model/tensor_shelf.h"
#include "quant/decode.h"
#include "quant/encode.h"
#include "quant/tensor_scale.h"

namespace stonechat {
namespace {

// A tensor of the file, and what it would be.
struct Changed {
  const gguf::TensorInfo* source;
  gguf::TensorInfo tensor;
  RowScale scale;
};

Changed change(const gguf::Reader& file, const std::string& name, const TypeByTensor& types,
               ThreadPool& pool) {
  const gguf::TensorInfo& source = *file.find_tensor(name);
  Changed changed{&source, source, {}};
  if (const auto type = types.find(name); type != types.end()) {
    changed.tensor.type = type->second;
    changed.scale = tensor_scale(type->second, 0, TensorStream(file, source), pool, [](uint64_t) {}).scale;
  }
  return changed;
}

void read_changed(const gguf::Reader& file, const Changed& changed, uint64_t first, uint64_t rows,
                  std::span<std::byte> destination) {
  const gguf::TensorInfo& source = *changed.source;
  if (source.type == changed.tensor.type) return file.read_rows(source, first, rows, destination);
  std::vector<std::byte> stored(rows * source.row_bytes());
  file.read_rows(source, first, rows, stored);
  std::vector<float> values(rows * source.cols());
  decode_rows(source.type, stored.data(), rows, source.cols(), values.data());
  encode_rows(changed.tensor.type, changed.scale, values, source.cols(), destination.data());
}

}  // namespace

PackedMatrix quantized_matrix(const gguf::Reader& file, const StackPlan& plan, uint32_t head_dim,
                              const TypeByTensor& types, const KernelTable& kernels, ThreadPool& pool) {
  std::vector<Changed> changed;
  for (const StackPart& part : plan.parts) changed.push_back(change(file, part.tensor, types, pool));
  std::vector<const gguf::TensorInfo*> tensors;
  for (const Changed& one : changed) tensors.push_back(&one.tensor);
  const MatrixStack stack(
      file.path(), stack_parts(plan, head_dim, tensors),
      [&](const gguf::TensorInfo& tensor, uint64_t first, uint64_t rows, std::span<std::byte> destination) {
        for (const Changed& one : changed) {
          if (&one.tensor == &tensor) return read_changed(file, one, first, rows, destination);
        }
      });
  PackArena arena;
  return {stack, kernels, arena, pool};
}

}  // namespace stonechat
