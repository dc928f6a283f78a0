// Which part of the program each large piece of memory belongs to.
//
// Whoever maps memory charges its address range to a part until it is given back; AlignedBuffer, MappedFile
// and PartAllocator do. How much of these ranges is in memory is measured by base/process_memory.h. A charge
// takes a lock, so it is for large pieces. Thread safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

namespace stonechat {

// As users are shown them.
constexpr double mebibytes(uint64_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}
constexpr double megabytes(uint64_t bytes) {
  return 1e-6 * static_cast<double>(bytes);
}

enum class MemoryPart {
  kWeights,      // packed or mapped
  kKvCache,      // keys and values of all sequences
  kActivations,  // of a pass: residual stream, Q K V, the MLP's pieces, hidden states, rotation tables
  kLogits,       // and the candidates of a sampler
  kTokenizer,    // vocabulary, merges and their tables
  kPacking,      // what loading reads into; gone afterwards
  kOther,        // the rest: program, libraries, stacks, small pieces of the heap
};
inline constexpr size_t kMemoryParts = 7;

std::string_view name(MemoryPart part);  // "weights", "kv_cache", ..., as in JSON

// Bytes of each part.
class MemoryByPart {
 public:
  uint64_t& operator[](MemoryPart part) { return bytes_[static_cast<size_t>(part)]; }
  uint64_t operator[](MemoryPart part) const { return bytes_[static_cast<size_t>(part)]; }
  uint64_t total() const;
  // Besides weights and KV cache.
  uint64_t runtime() const { return total() - (*this)[MemoryPart::kWeights] - (*this)[MemoryPart::kKvCache]; }

 private:
  std::array<uint64_t, kMemoryParts> bytes_{};
};

// All parts, in the order in which they are shown.
std::array<MemoryPart, kMemoryParts> memory_parts();

struct MemoryRange {
  uintptr_t begin;
  uintptr_t end;
  MemoryPart part;
};

// `data` isn't charged yet. No effect where bytes is 0.
void charge(const void* data, size_t bytes, MemoryPart part);
// Of a range that was charged, by its beginning; no effect on others.
void discharge(const void* data) noexcept;
// What is charged now, by ascending address.
std::vector<MemoryRange> charged_ranges();

// Smaller pieces of the heap aren't charged.
inline constexpr size_t kLargePiece = 65536;

// Memory of the heap, charged to a part when it is large. Not cleared. Throws std::bad_alloc.
void* allocate_part(size_t bytes, MemoryPart part);
// `bytes` as it was asked for.
void free_part(void* data, size_t bytes) noexcept;

struct PartDeleter {
  size_t bytes = 0;
  void operator()(std::byte* data) const noexcept { free_part(data, bytes); }
};
using PartBytes = std::unique_ptr<std::byte[], PartDeleter>;
inline PartBytes allocate_bytes(size_t bytes, MemoryPart part) {
  return {static_cast<std::byte*>(allocate_part(bytes, part)), PartDeleter{bytes}};
}

// For standard containers that may grow large.
template <typename T, MemoryPart kPart>
struct PartAllocator {
  using value_type = T;
  template <typename U>
  struct rebind {
    using other = PartAllocator<U, kPart>;
  };

  PartAllocator() = default;
  template <typename U>
  PartAllocator(const PartAllocator<U, kPart>&) {}  // NOLINT(google-explicit-constructor)

  T* allocate(size_t count) {
    if (count > SIZE_MAX / sizeof(T)) throw std::bad_array_new_length();
    return static_cast<T*>(allocate_part(count * sizeof(T), kPart));
  }
  void deallocate(T* data, size_t count) noexcept { free_part(data, count * sizeof(T)); }
  bool operator==(const PartAllocator&) const = default;
};

template <typename T, MemoryPart kPart>
using PartVector = std::vector<T, PartAllocator<T, kPart>>;

}  // namespace stonechat
