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

}  // namespace

void BytePairs::reserve(size_t merges) {
  rules_ = AlignedBuffer(bytes_for(merges), MemoryPart::kTokenizer);
  mask_ = rules_.bytes() / sizeof(Rule) - 1;
}

size_t BytePairs::bytes_for(size_t merges) {
  return std::bit_ceil(merges + merges / 2 + 2) * sizeof(Rule);
}

size_t BytePairs::slot_of(uint64_t pair) const {
  const Rule* rules = rules_.as<Rule>();
  const uint64_t hash = pair * 0x9e3779b97f4a7c15U;
  size_t slot = (hash ^ (hash >> 32)) & mask_;
  while (rules[slot].pair != pair && rules[slot].pair != kNoPair) slot = (slot + 1) & mask_;
  return slot;
}

bool BytePairs::add_merge(TokenId left, TokenId right, TokenId merged) {
  const uint64_t pair = pair_of(left, right);
  Rule& rule = rules_.as<Rule>()[slot_of(pair)];
  if (rule.pair == pair) return false;
  rule = {pair, count_++, merged};
  return true;
}

const BytePairs::Rule* BytePairs::find(TokenId left, TokenId right) const {
  const Rule& rule = rules_.as<Rule>()[slot_of(pair_of(left, right))];
  return rule.pair == kNoPair ? nullptr : &rule;
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
  std::array<const Rule*, kShortWord> rules;  // rules[i] is for tokens i and i + 1
  size_t count = word.size();
  for (size_t i = 0; i < count; ++i) tokens[i] = byte_tokens_[static_cast<uint8_t>(word[i])];
  for (size_t i = 0; i + 1 < count; ++i) rules[i] = find(tokens[i], tokens[i + 1]);
  while (count > 1) {
    size_t best = count;
    for (size_t i = 0; i + 1 < count; ++i) {
      if (rules[i] != nullptr && (best == count || rules[i]->rank < rules[best]->rank)) best = i;
    }
    if (best == count) break;
    tokens[best] = rules[best]->merged;
    --count;
    for (size_t i = best + 1; i < count; ++i) {
      tokens[i] = tokens[i + 1];
      if (i + 1 < count) rules[i] = rules[i + 1];
    }
    if (best + 1 < count) rules[best] = find(tokens[best], tokens[best + 1]);
    if (best > 0) rules[best - 1] = find(tokens[best - 1], tokens[best]);
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
    if (const Rule* rule = find(left.token, right)) {
      queue.push({rule->rank, position, left.token, right, rule->merged});
    }
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
