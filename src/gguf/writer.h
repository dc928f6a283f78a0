// Writes a GGUF version 3 file: all names and shapes first, then each tensor's bytes in the same order, in
// pieces.
//
// The file appears under its name complete or not at all (base/atomic_file.h). Calls must come in the order
// constructor, write_tensor_data() until every tensor is full, finish(). Errors: ErrorKind::kIo naming the
// path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "gguf/metadata.h"
#include "gguf/types.h"

namespace stonechat::gguf {

struct TensorSpec {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<uint64_t> shape;  // columns first

  uint64_t bytes() const;
};

class Writer {
 public:
  // Header and padding are written at once; `metadata`'s general.alignment (default 32) is kept.
  Writer(std::string path, const Metadata& metadata, std::vector<TensorSpec> tensors);

  // Size that a file with this content will have, to check or to show before any work.
  static uint64_t predicted_bytes(const Metadata& metadata, std::span<const TensorSpec> tensors);

  // The next bytes of tensor data; tensors follow each other in order, padding is added here. A piece must
  // not cross from one tensor to the next.
  void write_tensor_data(std::span<const std::byte> bytes);

  // Makes the file visible. Every tensor must be full.
  void finish();

 private:
  Writer(std::string path, const std::vector<std::byte>& header, std::vector<TensorSpec>&& tensors,
         uint32_t alignment);
  void put(std::span<const std::byte> bytes);
  void pad();

  std::vector<TensorSpec> tensors_;
  uint32_t alignment_ = 32;
  size_t current_tensor_ = 0;
  uint64_t written_of_current_ = 0;
  AtomicFile file_;
  std::vector<std::byte> buffer_;  // what comes after file_.position()
};

}  // namespace stonechat::gguf
