// A matrix of a model as it would be with its tensors in other types, packed without writing a file: for
// trying types out.
#pragma once

#include <map>
#include <string>

#include "base/thread_pool.h"
#include "gguf/reader.h"
#include "model/packed_matrix.h"
#include "model/tensor_plan.h"

namespace stonechat {

using TypeByTensor = std::map<std::string, gguf::TensorType, std::less<>>;

// The stack with those of its tensors that `types` names in these types, others as they are. Holds the very
// values that quantizing to a file and loading that would give; Q8_M with the range of least error. The file
// has been loaded as a model, so all tensors are there.
PackedMatrix quantized_matrix(const gguf::Reader& file, const StackPlan& plan, uint32_t head_dim,
                              const TypeByTensor& types, const KernelTable& kernels, ThreadPool& pool);

}  // namespace stonechat
