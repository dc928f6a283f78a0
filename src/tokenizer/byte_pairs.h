// Byte-pair merges: from the bytes of a word to token ids.
//
// Source: Neural Machine Translation of Rare Words with Subword Units (arXiv 1508.07909); GPT-2's byte-level
// form. Immutable after construction.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/aligned_buffer.h"
#include "tokenizer/insertion.h"

namespace stonechat {

class BytePairs {
 public:
  using TokenId = int32_t;

  // What fits: tokens below the first, rules as many as the second.
  static constexpr uint32_t kMostTokens = 1 << 21;
  static constexpr uint32_t kMostMerges = (1 << 22) - 1;

  BytePairs() { byte_tokens_.fill(kNoToken); }

  // The token of a single byte, which words begin as. A byte that has none is left out of words before the
  // merges, as the `tokenizers` package does (docs/decisions/0003-text.md).
  void set_byte_token(uint8_t byte, TokenId token);
  // Adds the next rule in order of rank: `left` and `right` side by side become `merged`.
  Insertion add_merge(TokenId left, TokenId right, TokenId merged);
  void reserve(size_t merges);
  static size_t bytes_for(size_t merges);

  // Appends the tokens of one word. Applies the rule of lowest rank, leftmost first, until none applies. Time
  // is O(n log n) in the word's bytes.
  void encode(std::string_view word, std::vector<TokenId>& out) const;

 private:
  static constexpr TokenId kNoToken = -1;
  static constexpr uint32_t kNoRank = UINT32_MAX;

  // A rule in 64 bits, so that the table is half as large as with fields: the pair above, its rank below plus
  // 1. Fresh memory holds kEmpty.
  static constexpr uint32_t kTokenBits = 21;
  static constexpr uint32_t kRankBits = 22;
  static constexpr uint64_t kEmpty = 0;
  static uint64_t pair_of(TokenId left, TokenId right) {
    return uint64_t{static_cast<uint32_t>(left)} << kTokenBits | static_cast<uint32_t>(right);
  }
  uint32_t find(TokenId left, TokenId right) const;  // its rank, or kNoRank
  // Where the pair's rule is or would be; where neither is near, that of another.
  size_t slot_of(uint64_t pair) const;
  void encode_short(std::string_view word, std::vector<TokenId>& out) const;
  void encode_long(std::string_view word, std::vector<TokenId>& out) const;

  std::array<TokenId, 256> byte_tokens_;  // kNoToken where there is none
  uint32_t known_bytes_ = 0;
  AlignedBuffer
      rules_;  // mask_ + 1 of them: open addressing, a power of two of slots, at most two thirds full
  size_t mask_ = 0;
  PartVector<TokenId, MemoryPart::kTokenizer> merged_;  // by rank
};

}  // namespace stonechat
