#include "tokenizer/text_index.h"

#include <bit>
#include <cstring>
#include <utility>

namespace stonechat {
namespace {

uint64_t load(const char* bytes, size_t count) {
  uint64_t word = 0;
  std::memcpy(&word, bytes, count);
  return word;
}

uint64_t mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// Words of 8 bytes, the last one overlapping the one before; short texts are one or two words. Products of
// 128 bits spread every bit over the result.
uint64_t hash_of(std::string_view text) {
  constexpr uint64_t kFirst = 0x9e3779b97f4a7c15U;
  constexpr uint64_t kSecond = 0xbf58476d1ce4e5b9U;
  const char* bytes = text.data();
  size_t left = text.size();
  uint64_t state = kFirst ^ left;
  for (; left > 16; left -= 8, bytes += 8) state = mix(state ^ load(bytes, 8), kSecond);
  uint64_t first = 0;
  uint64_t last = 0;
  if (left >= 8) {
    first = load(bytes, 8);
    last = load(bytes + left - 8, 8);
  } else if (left >= 4) {
    first = load(bytes, 4);
    last = load(bytes + left - 4, 4);
  } else if (left > 0) {
    first = load(bytes, 1) | load(bytes + left / 2, 1) << 8 | load(bytes + left - 1, 1) << 16;
  }
  return mix(mix(state ^ first, kSecond) ^ last, kFirst);
}

}  // namespace

TextIndex::TextIndex(gguf::StringArray texts, size_t count)
    : texts_(std::move(texts)),
      number_mask_(static_cast<Slot>(std::bit_ceil(texts_.size() + 1) - 1)),
      slots_(bytes_for(count), MemoryPart::kTokenizer),
      mask_(slots_.bytes() / sizeof(Slot) - 1) {}

size_t TextIndex::bytes_for(size_t count) {
  return std::bit_ceil(count + count / 2 + 2) * sizeof(Slot);
}

Insertion TextIndex::insert(int32_t id) {
  const std::string_view text = texts_[static_cast<size_t>(id)];
  const uint64_t hash = hash_of(text);
  const Slot tag = static_cast<Slot>(hash >> 32) & ~number_mask_;
  Slot* slots = slots_.as<Slot>();
  for (uint64_t probe = 0; probe < kMostProbes; ++probe) {
    Slot& slot = slots[(hash + probe) & mask_];
    if (slot == 0) {
      slot = tag | (static_cast<Slot>(id) + 1);
      return Insertion::kNew;
    }
    if ((slot & ~number_mask_) == tag && texts_[(slot & number_mask_) - 1] == text) return Insertion::kKnown;
  }
  return Insertion::kCrowded;
}

int32_t TextIndex::find(std::string_view text) const {
  if (mask_ == 0) return kNone;
  const uint64_t hash = hash_of(text);
  const Slot tag = static_cast<Slot>(hash >> 32) & ~number_mask_;
  const Slot* slots = slots_.as<Slot>();
  for (uint64_t probe = 0; probe < kMostProbes; ++probe) {
    const Slot slot = slots[(hash + probe) & mask_];
    if (slot == 0) return kNone;
    const Slot number = (slot & number_mask_) - 1;
    if ((slot & ~number_mask_) == tag && texts_[number] == text) return static_cast<int32_t>(number);
  }
  return kNone;
}

}  // namespace stonechat
