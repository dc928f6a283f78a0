// The schemes of quantization that `stonechat quantize` writes, in one table: what its help, `inspect` and
// docs/quantization.md say of them comes from here.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "gguf/types.h"

namespace stonechat {

struct Scheme {
  std::string_view name;  // "q8_t", as it stands on the command line
  gguf::TensorType type;
  std::string_view scale;    // what has a scale of its own: "32 weights", "row", "tensor"
  std::string_view formula;  // of the codes, and of what they mean
  std::string_view source;
  std::string_view kernels;  // WeightFormat of the products (kernels/kernel_table.h)
  uint32_t file_type;        // general.file_type of a file whose matrices are of this scheme
};

std::span<const Scheme> schemes();
const Scheme* find_scheme(std::string_view name);            // nullptr when there is none
const Scheme* find_scheme(gguf::TensorType type);            // nullptr when there is none
double bytes_a_weight(const Scheme& scheme, uint64_t cols);  // of a row of `cols` weights

}  // namespace stonechat
