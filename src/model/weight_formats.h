// In which format a file's matrices are computed with: what stays as it is stored, what is encoded anew.
#pragma once

#include <map>
#include <span>
#include <string>

#include "gguf/reader.h"
#include "kernels/kernel_table.h"
#include "model/config.h"

namespace stonechat {

// The format in which tensors of this type are computed with where nothing else is stacked with them. Types
// without kernels of their own are encoded as Q8_0.
WeightFormat compute_format(gguf::TensorType type);

// A type of tensors that hold this format: of the three types with a scale a row, Q8_R.
gguf::TensorType tensor_type(WeightFormat format);

// Whether tensors of this type are rows of this format byte for byte.
bool is_stored_as(gguf::TensorType type, WeightFormat format);

// The format of a stack of tensors of these types: the one that they have in common; Q8_0 where all are in
// GGUF's blocks, as types without kernels are; else F32.
WeightFormat common_format(std::span<const gguf::TensorType> types);

// The format of each matrix of a model that isn't a packed file, by the tensor's name. Tensors that are
// missing are left out.
std::map<std::string, WeightFormat> matrix_formats(const gguf::Reader& file, const ModelConfig& config);

}  // namespace stonechat
