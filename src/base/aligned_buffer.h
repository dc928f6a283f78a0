// Zero-filled memory for weights, caches and activations.
//
// Aligned to a page, so to every vector; buffers of 2 MiB and more are aligned to 2 MiB and asked for as huge
// pages, which the system may refuse without harm. Pages are touched by whoever writes first. Owns its
// memory, which is charged to a part of the program (base/memory_parts.h); movable. Throws Error{kLimit}
// naming the size when the system has none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/memory_parts.h"

namespace stonechat {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  // Empty; what reserve() gets is charged to the part.
  explicit AlignedBuffer(MemoryPart part) : part_(part) {}
  // kSmall where only a part will be touched, which is all that then takes memory.
  enum class Pages { kHuge, kSmall };
  explicit AlignedBuffer(size_t bytes, MemoryPart part = MemoryPart::kOther, Pages pages = Pages::kHuge);
  ~AlignedBuffer();
  AlignedBuffer(AlignedBuffer&& other) noexcept { swap(other); }
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    swap(other);
    return *this;
  }

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_);
  }

  // Makes room for at least `bytes`; the content is lost when the buffer grows.
  void reserve(size_t bytes) {
    if (bytes > bytes_) *this = AlignedBuffer(bytes, part_);
  }

 private:
  void swap(AlignedBuffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(mapped_bytes_, other.mapped_bytes_);
    std::swap(part_, other.part_);
  }

  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
  size_t mapped_bytes_ = 0;
  MemoryPart part_ = MemoryPart::kOther;
};

}  // namespace stonechat
