// How much a model's file holds, and in what type.
#pragma once

#include <cstdint>
#include <string>

#include "gguf/reader.h"

namespace stonechat {

struct TensorCounts {
  uint64_t bytes = 0;       // of all tensors as stored
  uint64_t parameters = 0;  // elements of all tensors but factors of the rotation
  std::string main_type;    // the type of most parameters, "Q8_0"
};

// For a packed file, what it says of the file that it was made from.
TensorCounts count_tensors(const gguf::Reader& file);

}  // namespace stonechat
