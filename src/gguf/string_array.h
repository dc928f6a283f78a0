// An array of texts in one block of memory, as it lies in a GGUF file.
//
// Vocabularies have some 300,000 texts: one allocation for each would take most of the time of a start. The
// block is shared by copies and never changes, so copies are cheap and may be used by several threads. Large
// arrays are vocabularies and their merges: the tokenizer's part of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory_parts.h"

namespace stonechat::gguf {

class StringArray {
 public:
  StringArray() = default;
  // Implicit, as an array of texts is what it means. NOLINTNEXTLINE(google-explicit-constructor)
  StringArray(const std::vector<std::string>& texts);
  // `block` as in the file: for each text its length in 64 bits, then its bytes. `starts` has the place of
  // each text's first byte, and one more: where the next text's first byte would be.
  using Starts = PartVector<uint32_t, MemoryPart::kTokenizer>;
  StringArray(std::shared_ptr<const std::byte[]> block, Starts starts)
      : block_(std::move(block)), starts_(std::make_shared<const Starts>(std::move(starts))) {}

  size_t size() const { return starts_ == nullptr ? 0 : starts_->size() - 1; }
  bool empty() const { return size() == 0; }
  std::string_view operator[](size_t index) const {
    const uint32_t start = (*starts_)[index];
    const uint32_t end = (*starts_)[index + 1] - kLengthBytes;
    return {reinterpret_cast<const char*>(block_.get()) + start, end - start};
  }
  // All texts as they lie in a file.
  std::span<const std::byte> block() const {
    return empty() ? std::span<const std::byte>() : std::span(block_.get(), starts_->back() - kLengthBytes);
  }

  static constexpr uint32_t kLengthBytes = sizeof(uint64_t);

  class const_iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;
    using pointer = const std::string_view*;
    using reference = std::string_view;

    const_iterator() = default;
    const_iterator(const StringArray* array, size_t index) : array_(array), index_(index) {}
    std::string_view operator*() const { return (*array_)[index_]; }
    const_iterator& operator++() {
      ++index_;
      return *this;
    }
    const_iterator operator++(int) {
      const const_iterator before = *this;
      ++index_;
      return before;
    }
    bool operator==(const const_iterator& other) const { return index_ == other.index_; }

   private:
    const StringArray* array_ = nullptr;
    size_t index_ = 0;
  };
  using value_type = std::string_view;
  using iterator = const_iterator;
  const_iterator begin() const { return {this, 0}; }
  const_iterator end() const { return {this, size()}; }

 private:
  std::shared_ptr<const std::byte[]> block_;
  std::shared_ptr<const Starts> starts_;
};

}  // namespace stonechat::gguf
