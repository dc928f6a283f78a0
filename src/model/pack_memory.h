// Where packed weights lie: in memory that all matrices of a model share, or in a mapped file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/aligned_buffer.h"
#include "base/mapped_file.h"

namespace stonechat {

// A piece that keeps alive what it is a piece of.
class PackMemory {
 public:
  PackMemory() = default;
  PackMemory(std::shared_ptr<const void> owner, const std::byte* data, size_t bytes)
      : owner_(std::move(owner)), data_(data), bytes_(bytes) {}
  // Bytes [offset, offset + bytes) of the file, which has them; offset is a multiple of 64.
  PackMemory(const std::shared_ptr<const MappedFile>& file, uint64_t offset, size_t bytes)
      : PackMemory(file, file->data() + offset, bytes) {}

  const std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<const void> owner_;
  const std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

// Hands out memory for one pack after another. They lie side by side in large buffers, as a pack of less than
// a huge page would get none of its own: with small pages a token reads it at half the speed.
class PackArena {
 public:
  struct Piece {
    PackMemory memory;
    std::byte* bytes;  // of `memory`, zero, to be written
  };
  // `bytes` is a multiple of 64, and so is the address. Error{kLimit} when the system has no memory.
  Piece take(size_t bytes);

 private:
  std::shared_ptr<AlignedBuffer> buffer_;
  size_t used_ = 0;  // bytes of it
};

}  // namespace stonechat
