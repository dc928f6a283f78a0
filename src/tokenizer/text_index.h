// From texts to their numbers in an array: open addressing over the array's own memory.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/aligned_buffer.h"
#include "gguf/string_array.h"
#include "tokenizer/insertion.h"

namespace stonechat {

class TextIndex {
 public:
  static constexpr int32_t kNone = -1;

  TextIndex() = default;
  // Room for `count` of the texts.
  TextIndex(gguf::StringArray texts, size_t count);

  static size_t bytes_for(size_t count);

  // Adds text `id`.
  Insertion insert(int32_t id);
  // Its number, or kNone.
  int32_t find(std::string_view text) const;

 private:
  // A number plus 1 in the low bits, as many as that takes, and above them bits of its text's hash; 0 where
  // nothing is.
  using Slot = uint32_t;

  gguf::StringArray texts_;
  Slot number_mask_ = 0;
  AlignedBuffer slots_;  // mask_ + 1 slots, at most two thirds of them full
  uint64_t mask_ = 0;
};

}  // namespace stonechat
