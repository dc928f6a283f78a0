// The tensors of a publisher's model, by their names in transformers, and what they are in GGUF.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "publisher/config.h"

namespace stonechat {

struct TensorRole {
  std::string name;             // in GGUF
  std::vector<uint64_t> shape;  // publishers' order: rows, columns
  bool required = true;
  // Not 0: rows (or elements of a bias) of this many heads, in each of which GGUF wants another order, see
  // source_row().
  uint64_t rotated_heads = 0;
};

// Every tensor that a model of this configuration may have, by the publisher's name. In the order of the
// names, which is the one in which llama.cpp's converter writes the tensors of a file.
std::map<std::string, TensorRole> tensor_roles(const PublisherConfig& config);

// Tensors that old files carry and nobody reads: they can be computed.
bool is_left_out(std::string_view name);

// transformers rotates element i of a head with element i + half of it, GGUF's llama architecture rotates
// neighbours. So row r of a GGUF tensor is row source_row(r, rows of a head) of the publisher's.
uint64_t source_row(uint64_t row, uint64_t head_width);

}  // namespace stonechat
