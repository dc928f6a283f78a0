// Reads a safetensors file, which may be hostile.
//
// The file is a length of 8 bytes, a JSON header of that length (tensor name to type, shape and place; texts
// under "__metadata__"), then the data. The constructor checks all of it: length, JSON, depth, names that
// come twice, types, shapes and their products, and that the tensors cover the data exactly, without gap or
// overlap. Memory taken is bounded by kMostHeaderBytes. Tensor data is read on demand with pread. Source: the
// format's description in the README of huggingface/safetensors.
//
// Thread safety: const methods may run concurrently. Errors: ErrorKind::kBadFile naming file, field,
// expected, found; ErrorKind::kIo when the system fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/input_file.h"

namespace stonechat::safetensors {

// The format allows 100 MB; the header of a model of 1,000 layers takes 1 MB.
inline constexpr uint64_t kMostHeaderBytes = 16 << 20;

struct Tensor {
  std::string name;
  std::string_view type;        // "F32", "BF16", ... as in the file; a static text
  std::vector<uint64_t> shape;  // as publishers write it: the contiguous dimension last; empty for a scalar
  uint64_t offset = 0;          // bytes from the start of the file
  uint64_t bytes = 0;
};

// "[151936, 896]"
std::string shape_text(std::span<const uint64_t> shape);

class Reader {
 public:
  explicit Reader(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const std::vector<Tensor>& tensors() const { return tensors_; }  // sorted by name
  const Tensor* find(std::string_view name) const;                 // nullptr when absent

  // Reads destination.size() bytes of the tensor from its byte `offset` on; both lie in the tensor.
  void read(const Tensor& tensor, uint64_t offset, std::span<std::byte> destination) const;

 private:
  InputFile file_;
  std::vector<Tensor> tensors_;
};

}  // namespace stonechat::safetensors
