// A model with some of its matrices made of other values, without writing a file: for trying things out.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "gguf/reader.h"
#include "model/packed_matrix.h"
#include "model/tensor_plan.h"
#include "model/weights.h"

namespace stonechat {

// What a tensor is instead: `encode` writes rows of its values in `type`. It is called by several threads.
struct Replacement {
  gguf::TensorType type;
  std::function<void(std::span<const float> values, uint64_t cols, std::span<std::byte> destination)> encode;
};
using ReplacementByTensor = std::map<std::string, Replacement, std::less<>>;

using TypeByTensor = std::map<std::string, gguf::TensorType, std::less<>>;

// The tensors that have another type there become the very values that quantizing to a file and loading that
// would give; Q8_M with the range of least error.
ReplacementByTensor quantized(const gguf::Reader& file, const TypeByTensor& types, ThreadPool& pool);

// While it lives, the matrices of `weights` that have one of the replaced tensors are made of these instead.
// `weights` were loaded from `file`, which isn't a packed one.
class ReplacedMatrices {
 public:
  // `weights` are as before when it throws, as on values that aren't finite.
  ReplacedMatrices(const gguf::Reader& file, Weights& weights, const KernelTable& kernels, ThreadPool& pool,
                   const ReplacementByTensor& replacements);
  ~ReplacedMatrices();
  ReplacedMatrices(const ReplacedMatrices&) = delete;
  ReplacedMatrices& operator=(const ReplacedMatrices&) = delete;

 private:
  // What another constructor has replaced before it throws goes back then, too: the object is complete.
  ReplacedMatrices() = default;

  std::vector<std::pair<PackedMatrix*, PackedMatrix>> originals_;
};

}  // namespace stonechat
