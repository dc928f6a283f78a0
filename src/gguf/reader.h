// Reads a GGUF file (version 2 or 3, little endian), which may be hostile.
//
// The constructor checks everything that can be checked without knowing the model: magic, version, every
// count, length, type, alignment, offset, overlap and product; each tensor lies inside of the file. Memory
// taken is bounded by the size of the file's header, itself at most 256 MiB, and by a limit on the numbers in
// arrays, so a sparse file takes no more. Tensor data is read on demand with pread. Thread safety: const
// methods may run concurrently. Errors: ErrorKind::kBadFile naming file, field, expected, found;
// ErrorKind::kIo when the system fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/input_file.h"
#include "gguf/metadata.h"
#include "gguf/model_source.h"
#include "gguf/types.h"

namespace stonechat::gguf {

class Reader : public ModelSource {
 public:
  explicit Reader(const std::string& path);

  const std::string& path() const override { return file_.path(); }
  const InputFile& file() const { return file_; }
  uint32_t version() const { return version_; }
  uint32_t alignment() const { return alignment_; }
  const Metadata& metadata() const override { return metadata_; }
  // Frees a metadata value that isn't needed any more.
  void forget(std::string_view key) { metadata_.erase(key); }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  const TensorInfo* find_tensor(std::string_view name) const override;

  void read_rows(const TensorInfo& tensor, uint64_t first_row, uint64_t rows,
                 std::span<std::byte> destination) const override;
  bool reads_from(const std::string& path) const override { return file_.is_same_file_as(path); }

 private:
  InputFile file_;
  uint32_t version_ = 0;
  uint32_t alignment_ = 32;
  Metadata metadata_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace stonechat::gguf
