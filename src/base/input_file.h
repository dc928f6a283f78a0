// A file opened for reading at any offset.
//
// Reads with pread: a file that another process truncates under us gives an Error, not SIGBUS (which is what
// base/mapped_file.h has to live with).
// Thread safety: const methods may run concurrently. Errors: ErrorKind::kIo naming the path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/function_ref.h"

namespace stonechat {

class InputFile {
 public:
  // Opens a regular file; a directory, a pipe or a missing file is an Error.
  explicit InputFile(std::string path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;

  const std::string& path() const { return path_; }
  uint64_t bytes() const { return bytes_; }
  int descriptor() const { return descriptor_; }  // stays ours

  // Fills `destination` from `offset`. Throws when the file ends before.
  void read(uint64_t offset, std::span<std::byte> destination) const;
  // The whole content. What bytes() may be is for the caller to check first.
  std::string read_all() const;

  // Calls `use` with the content from front to back, a MiB at a time.
  void read_pieces(FunctionRef<void(std::span<const std::byte>)> use) const;

  // True when both name one file on disk (device and inode), whatever the paths look like.
  bool is_same_file_as(const std::string& path) const noexcept;

 private:
  std::string path_;
  int descriptor_ = -1;
  uint64_t bytes_ = 0;
};

}  // namespace stonechat
