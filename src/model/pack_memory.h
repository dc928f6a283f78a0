// Where packed weights lie: in memory that all matrices of a model share, or in a mapped file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

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

// Memory that one thread packs with, again and again.
struct PackScratch {
  AlignedBuffer rows{MemoryPart::kPacking};    // as they are packed from
  AlignedBuffer stored{MemoryPart::kPacking};  // of types that are encoded anew
};

// Hands out memory for one pack after another. They lie side by side in large buffers, as a pack of less than
// a huge page would get none of its own: with small pages a token reads it at half the speed.
class PackArena {
 public:
  PackArena() = default;
  // `expected` bytes are got at once: of each buffer the last huge page is used in part, but taken whole.
  explicit PackArena(size_t expected) : buffer_bytes_(expected) {}

  struct Piece {
    PackMemory memory;
    std::byte* bytes;  // of `memory`, zero, to be written
  };
  // `bytes` is a multiple of 64, and so is the address. Error{kLimit} when the system has no memory.
  Piece take(size_t bytes);

  // One for each thread, kept from pack to pack.
  std::span<PackScratch> scratch(uint32_t threads) {
    if (scratch_.size() < threads) scratch_.resize(threads);
    return scratch_;
  }

 private:
  size_t buffer_bytes_ = size_t{128} << 20;
  std::shared_ptr<AlignedBuffer> buffer_;
  size_t used_ = 0;  // bytes of it
  std::vector<PackScratch> scratch_;
};

}  // namespace stonechat
