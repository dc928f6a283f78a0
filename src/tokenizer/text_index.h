// From texts to their numbers in an array: open addressing over the array's own memory.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/aligned_buffer.h"
#include "gguf/string_array.h"

namespace stonechat {

class TextIndex {
 public:
  static constexpr int32_t kNone = -1;

  TextIndex() = default;
  // Room for `count` of the texts.
  TextIndex(gguf::StringArray texts, size_t count);

  static size_t bytes_for(size_t count);

  // Adds text `id`. False when an equal text is there already.
  bool insert(int32_t id);
  // Its number, or kNone.
  int32_t find(std::string_view text) const;

 private:
  // All zero where nothing is.
  struct Slot {
    uint32_t tag;  // high half of the hash
    uint32_t id_plus_1;
  };

  gguf::StringArray texts_;
  AlignedBuffer slots_;  // mask_ + 1 slots, at most two thirds of them full
  uint64_t mask_ = 0;
};

}  // namespace stonechat
