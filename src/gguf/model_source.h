// Where a model comes from, in GGUF's terms: a GGUF file, or something else that is read as if it were one.
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

#include "gguf/metadata.h"
#include "gguf/types.h"

namespace stonechat::gguf {

struct TensorInfo {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<uint64_t> shape;  // 1 to 4 dimensions, the contiguous one (columns) first, as in the file
  uint64_t offset = 0;          // bytes from the start of the file; 0 where there is no single file
  uint64_t bytes = 0;

  uint64_t elements() const;
  uint64_t cols() const { return shape[0]; }
  uint64_t rows() const { return elements() / cols(); }
  uint64_t row_bytes() const { return gguf::row_bytes(type, cols()); }
};

// "[896, 151936]"
std::string shape_text(std::span<const uint64_t> shape);

class ModelSource {
 public:
  ModelSource() = default;
  virtual ~ModelSource() = default;
  ModelSource(const ModelSource&) = delete;
  ModelSource& operator=(const ModelSource&) = delete;

  // Of the file or directory, as the user named it.
  virtual const std::string& path() const = 0;
  virtual const Metadata& metadata() const = 0;
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  virtual const TensorInfo* find_tensor(std::string_view name) const = 0;  // nullptr when absent

  // Reads rows [first_row, first_row + rows) of the tensor, as stored, into `destination` (rows x row_bytes).
  virtual void read_rows(const TensorInfo& tensor, uint64_t first_row, uint64_t rows,
                         std::span<std::byte> destination) const = 0;

  // Whether writing to `path` would overwrite what is read here.
  virtual bool reads_from(const std::string& path) const = 0;
};

}  // namespace stonechat::gguf
