#include "tokenizer/byte_pairs.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <queue>
#include <string>

namespace stonechat {
namespace {

// Above this a heap beats looking at all pairs again and again.
constexpr size_t kShortWord = 24;

size_t slots_for(size_t merges) {
  return std::bit_ceil(merges + merges / 2 + 2);
}

}  // namespace

void BytePairs::reserve(size_t merges) {
  const size_t slots = slots_for(merges);
  rules_ = AlignedBuffer(slots * sizeof(uint64_t), MemoryPart::kTokenizer);
  mask_ = slots - 1;
  merged_.reserve(merges);
}

size_t BytePairs::bytes_for(size_t merges) {
  return slots_for(merges) * sizeof(uint64_t) + merges * sizeof(TokenId);
}

size_t BytePairs::slot_of(uint64_t pair) const {
  const auto* rules = rules_.as<uint64_t>();
  const uint64_t hash = pair * 0x9e3779b97f4a7c15U;
  size_t slot = (hash ^ (hash >> 32)) & mask_;
  for (size_t probe = 1; probe < kMostProbes; ++probe) {
    if (rules[slot] == kEmpty || rules[slot] >> kRankBits == pair) break;
    slot = (slot + 1) & mask_;
  }
  return slot;
}

Insertion BytePairs::add_merge(TokenId left, TokenId right, TokenId merged) {
  const uint64_t pair = pair_of(left, right);
  uint64_t& rule = rules_.as<uint64_t>()[slot_of(pair)];
  if (rule != kEmpty) return rule >> kRankBits == pair ? Insertion::kKnown : Insertion::kCrowded;
  rule = pair << kRankBits | (merged_.size() + 1);
  merged_.push_back(merged);
  return Insertion::kNew;
}

uint32_t BytePairs::find(TokenId left, TokenId right) const {
  const uint64_t pair = pair_of(left, right);
  const uint64_t rule = rules_.as<uint64_t>()[slot_of(pair)];
  // An empty slot's rank is 0 less 1, also where it looks like that of the pair (0, 0).
  return rule >> kRankBits == pair ? static_cast<uint32_t>(rule & ((1U << kRankBits) - 1)) - 1 : kNoRank;
}

void BytePairs::set_byte_token(uint8_t byte, TokenId token) {
  byte_tokens_[byte] = token;
  ++known_bytes_;
}

void BytePairs::encode(std::string_view word, std::vector<TokenId>& out) const {
  std::string known;
  if (known_bytes_ < byte_tokens_.size()) {
    std::copy_if(word.begin(), word.end(), std::back_inserter(known),
                 [&](char byte) { return byte_tokens_[static_cast<uint8_t>(byte)] != kNoToken; });
    word = known;
  }
  if (word.empty()) return;
  if (word.size() <= kShortWord) {
    encode_short(word, out);
  } else {
    encode_long(word, out);
  }
}

void BytePairs::encode_short(std::string_view word, std::vector<TokenId>& out) const {
  std::array<TokenId, kShortWord> tokens;
  std::array<uint32_t, kShortWord> ranks;  // ranks[i] is for tokens i and i + 1
  size_t count = word.size();
  for (size_t i = 0; i < count; ++i) tokens[i] = byte_tokens_[static_cast<uint8_t>(word[i])];
  for (size_t i = 0; i + 1 < count; ++i) ranks[i] = find(tokens[i], tokens[i + 1]);
  while (count > 1) {
    const auto best = static_cast<size_t>(
        std::min_element(ranks.begin(), ranks.begin() + static_cast<std::ptrdiff_t>(count - 1)) -
        ranks.begin());
    if (ranks[best] == kNoRank) break;
    tokens[best] = merged_[ranks[best]];
    --count;
    for (size_t i = best + 1; i < count; ++i) {
      tokens[i] = tokens[i + 1];
      if (i + 1 < count) ranks[i] = ranks[i + 1];
    }
    if (best + 1 < count) ranks[best] = find(tokens[best], tokens[best + 1]);
    if (best > 0) ranks[best - 1] = find(tokens[best - 1], tokens[best]);
  }
  out.insert(out.end(), tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(count));
}

void BytePairs::encode_long(std::string_view word, std::vector<TokenId>& out) const {
  constexpr uint32_t kNone = UINT32_MAX;
  struct Symbol {
    TokenId token;
    uint32_t previous;
    uint32_t next;
    bool gone;
  };
  // A pair as it was when it was queued; if its tokens have changed since, it is skipped.
  struct Candidate {
    uint32_t rank;
    uint32_t position;
    TokenId left;
    TokenId right;
    TokenId merged;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : position > other.position;
    }
  };
  std::vector<Symbol> symbols(word.size());
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto push = [&](uint32_t position) {
    const Symbol& left = symbols[position];
    if (left.next == kNone) return;
    const TokenId right = symbols[left.next].token;
    if (const uint32_t rank = find(left.token, right); rank != kNoRank)
      queue.push({rank, position, left.token, right, merged_[rank]});
  };
  const auto count = static_cast<uint32_t>(word.size());
  for (uint32_t i = 0; i < count; ++i) {
    symbols[i] = {byte_tokens_[static_cast<uint8_t>(word[i])], i == 0 ? kNone : i - 1,
                  i + 1 == count ? kNone : i + 1, false};
  }
  for (uint32_t i = 0; i + 1 < count; ++i) push(i);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = symbols[best.position];
    if (left.gone || left.token != best.left || left.next == kNone || symbols[left.next].token != best.right)
      continue;
    Symbol& right = symbols[left.next];
    right.gone = true;
    left.token = best.merged;
    left.next = right.next;
    if (left.next != kNone) symbols[left.next].previous = best.position;
    push(best.position);
    if (left.previous != kNone) push(left.previous);
  }
  for (uint32_t i = 0; i != kNone; i = symbols[i].next) out.push_back(symbols[i].token);
}

}  // namespace stonechat
