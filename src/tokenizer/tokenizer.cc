#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/byte_pairs.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/text_index.h"

namespace stonechat {
namespace {

// tokenizer.ggml.token_type
enum TokenType : int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

constexpr std::array<std::string_view, 8> kEndTokenNames = {"<|im_end|>", "<|endoftext|>", "<|end_of_text|>",
                                                            "<|eot_id|>", "<|eom_id|>",    "<|end|>",
                                                            "<|eos|>",    "</s>"};

// The words seen lately in one text, with their tokens: most words of a text come again.
class WordCache {
 public:
  bool find(std::string_view word, std::vector<TokenId>& out) const {
    const Slot& slot = slots_[slot_of(word)];
    if (slot.word != word) return false;
    out.insert(out.end(), tokens_.begin() + slot.first, tokens_.begin() + slot.first + slot.count);
    return true;
  }
  // `word` must stay valid as long as the cache.
  void add(std::string_view word, std::span<const TokenId> tokens) {
    if (tokens_.size() + tokens.size() > kMostTokens) return;
    slots_[slot_of(word)] = {word, static_cast<uint32_t>(tokens_.size()),
                             static_cast<uint32_t>(tokens.size())};
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  }

 private:
  static constexpr size_t kSlots = 1 << 14;
  static constexpr size_t kMostTokens = 1 << 20;
  struct Slot {
    std::string_view word;
    uint32_t first = 0;
    uint32_t count = 0;
  };
  static size_t slot_of(std::string_view word) { return std::hash<std::string_view>()(word) % kSlots; }

  PartVector<Slot, MemoryPart::kTokenizer> slots_{kSlots};
  std::vector<TokenId> tokens_;
};

std::string list_key(std::string_view name) {
  return fmt::format("tokenizer.ggml.{}", name);
}

[[noreturn]] void refuse_merge(const gguf::Metadata& metadata, uint64_t index, std::string_view merge,
                               std::string_view left, std::string_view right) {
  const bool two_tokens = !left.empty() && !right.empty() && is_entry(left) && is_entry(right);
  fail(ErrorKind::kBadFile, "{}: tokenizer.ggml.merges[{}]: expected {}, found '{}'", metadata.file(), index,
       two_tokens ? "tokens of the vocabulary" : "two tokens and a space between", merge);
}

[[noreturn]] void refuse_insertion(const gguf::Metadata& metadata, const std::string& field,
                                   std::string_view once, std::string_view text, Insertion result) {
  const bool known = result == Insertion::kKnown;
  fail(ErrorKind::kBadFile, "{}: tokenizer.ggml.{}: expected {}, found '{}' {}", metadata.file(), field,
       known ? once : "hashes that differ", text, known ? "again" : "after too many like it");
}

}  // namespace

struct Tokenizer::State {
  PreTokenizer pre_tokenizer = PreTokenizer::kQwen2;
  bool whole_words_first = false;  // a word that is a token is that token, whatever the merges say
  BytePairs pairs;
  gguf::StringArray texts;  // of each token; a normal one's are characters of the byte alphabet
  PartVector<uint8_t, MemoryPart::kTokenizer> types;
  TextIndex normal;  // normal tokens
  // Texts that may be cut out before words are: user-defined ones always, control tokens on demand. Longest
  // first among those of the same first byte.
  std::array<std::vector<TokenId>, 256> special_by_first_byte;
  std::vector<bool> is_end;
  std::optional<TokenId> bos;
  bool add_bos = false;

  State(const gguf::Metadata& metadata);
  void read_types(const gguf::Metadata& metadata);
  void read_tokens(const gguf::Metadata& metadata);
  void read_merges(const gguf::Metadata& metadata);
  void read_special(const gguf::Metadata& metadata);
  std::optional<TokenId> token_id(const gguf::Metadata& metadata, std::string_view name) const;
  // The special token whose text begins at `offset`, or -1.
  TokenId special_at(std::string_view text, size_t offset, bool parse_control) const;
  // The token of two joined texts, or -1; `last_merged` is that of the merge before.
  TokenId merged_token(std::string_view left, std::string_view right, TokenId last_merged) const;
  void encode_words(std::string_view text, WordCache& cache, std::vector<TokenId>& out) const;
};

Tokenizer::State::State(const gguf::Metadata& metadata) {
  const std::string& model = metadata.get_string(list_key("model"));
  if (model != "gpt2") {
    fail(ErrorKind::kBadFile, "{}: tokenizer.ggml.model: expected gpt2 (byte-level BPE), found '{}'",
         metadata.file(), model);
  }
  const std::string style = metadata.find_string(list_key("pre")).value_or("gpt-2");
  const auto pre = pre_tokenizer_from_name(style);
  if (!pre) {
    fail(ErrorKind::kBadFile,
         "{}: tokenizer.ggml.pre: expected gpt-2, llama-bpe, qwen2 or smollm, found '{}'", metadata.file(),
         style);
  }
  pre_tokenizer = *pre;
  whole_words_first = pre_tokenizer == PreTokenizer::kLlamaBpe;
  read_tokens(metadata);
  read_merges(metadata);
  read_special(metadata);
}

void Tokenizer::State::read_types(const gguf::Metadata& metadata) {
  types.assign(texts.size(), kNormal);
  if (!metadata.contains(list_key("token_type"))) return;
  const auto file_types = metadata.get_ints(list_key("token_type"));
  if (file_types.size() != texts.size()) {
    fail(ErrorKind::kBadFile,
         "{}: tokenizer.ggml.token_type: expected {} elements, as many as tokens, found {}", metadata.file(),
         texts.size(), file_types.size());
  }
  for (size_t i = 0; i < types.size(); ++i) {
    if (file_types[i] < kNormal || file_types[i] > kByte) {
      fail(ErrorKind::kBadFile, "{}: tokenizer.ggml.token_type[{}]: expected 1 to 6, found {}",
           metadata.file(), i, file_types[i]);
    }
    types[i] = static_cast<uint8_t>(file_types[i]);
  }
}

void Tokenizer::State::read_tokens(const gguf::Metadata& metadata) {
  texts = metadata.get_strings(list_key("tokens"));
  if (texts.empty() || texts.size() > BytePairs::kMostTokens) {
    fail(ErrorKind::kBadFile, "{}: tokenizer.ggml.tokens: expected 1 to {} tokens, found {}", metadata.file(),
         BytePairs::kMostTokens, texts.size());
  }
  read_types(metadata);
  normal = TextIndex(texts, texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (types[i] != kNormal) continue;
    if (texts[i].empty() || !is_entry(texts[i])) {
      fail(ErrorKind::kBadFile,
           "{}: tokenizer.ggml.tokens[{}]: expected characters of the byte alphabet, found '{}'",
           metadata.file(), i, texts[i]);
    }
    if (const Insertion result = normal.insert(id); result != Insertion::kNew)
      refuse_insertion(metadata, fmt::format("tokens[{}]", i), "each token once", texts[i], result);
  }
  for (int byte = 0; byte < 256; ++byte) {
    const char character = static_cast<char>(byte);
    const TokenId token = normal.find(entry_of_bytes(std::string_view(&character, 1)));
    if (token != TextIndex::kNone) pairs.set_byte_token(static_cast<uint8_t>(byte), token);
  }
}

void Tokenizer::State::read_merges(const gguf::Metadata& metadata) {
  const gguf::StringArray& merges = metadata.get_strings(list_key("merges"));
  if (merges.size() > BytePairs::kMostMerges) {
    fail(ErrorKind::kBadFile, "{}: tokenizer.ggml.merges: expected at most {}, found {}", metadata.file(),
         BytePairs::kMostMerges, merges.size());
  }
  pairs.reserve(merges.size());
  TokenId merged = TextIndex::kNone;
  for (size_t i = 0; i < merges.size(); ++i) {
    // "left right"; neither side has a space, which the alphabet writes as another character.
    const std::string_view merge = merges[i];
    const size_t space = std::min(merge.find(' '), merge.size());
    const std::string_view left = merge.substr(0, space);
    const std::string_view right = merge.substr(std::min(space + 1, merge.size()));
    const TokenId left_id = normal.find(left);
    const TokenId right_id = normal.find(right);
    merged = merged_token(left, right, merged);
    if (left_id < 0 || right_id < 0 || merged < 0) refuse_merge(metadata, i, merge, left, right);
    if (const Insertion result = pairs.add_merge(left_id, right_id, merged); result != Insertion::kNew)
      refuse_insertion(metadata, fmt::format("merges[{}]", i), "each pair once", merge, result);
  }
}

TokenId Tokenizer::State::merged_token(std::string_view left, std::string_view right,
                                       TokenId last_merged) const {
  // Vocabularies list merged tokens in the order of their merges, so the next one is likely the one.
  const auto next = static_cast<size_t>(last_merged + 1);
  if (next < texts.size() && types[next] == kNormal && texts[next].size() == left.size() + right.size() &&
      texts[next].starts_with(left) && texts[next].ends_with(right)) {
    return static_cast<TokenId>(next);
  }
  std::string joined(left);
  joined += right;
  return normal.find(joined);
}

std::optional<TokenId> Tokenizer::State::token_id(const gguf::Metadata& metadata,
                                                  std::string_view name) const {
  const auto id = metadata.find_uint(list_key(name));
  if (id && *id >= texts.size()) {
    fail(ErrorKind::kBadFile, "{}: tokenizer.ggml.{}: expected an id below {}, found {}", metadata.file(),
         name, texts.size(), *id);
  }
  return id ? std::optional(static_cast<TokenId>(*id)) : std::nullopt;
}

void Tokenizer::State::read_special(const gguf::Metadata& metadata) {
  bos = token_id(metadata, "bos_token_id");
  add_bos = metadata.find_bool(list_key("add_bos_token")).value_or(whole_words_first && bos.has_value());
  if (add_bos && !bos) {
    fail(ErrorKind::kBadFile,
         "{}: tokenizer.ggml.bos_token_id: expected an id, as add_bos_token is set, found nothing",
         metadata.file());
  }
  is_end.assign(texts.size(), false);
  for (const char* name : {"eos_token_id", "eot_token_id", "eom_token_id"}) {
    if (const auto id = token_id(metadata, name)) is_end[static_cast<size_t>(*id)] = true;
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    if (types[i] != kControl && types[i] != kUserDefined) continue;
    if (texts[i].empty()) continue;
    special_by_first_byte[static_cast<uint8_t>(texts[i][0])].push_back(static_cast<TokenId>(i));
    if (std::find(kEndTokenNames.begin(), kEndTokenNames.end(), texts[i]) != kEndTokenNames.end())
      is_end[i] = true;
  }
  for (auto& tokens : special_by_first_byte) {
    std::stable_sort(tokens.begin(), tokens.end(), [&](TokenId a, TokenId b) {
      return texts[static_cast<size_t>(a)].size() > texts[static_cast<size_t>(b)].size();
    });
  }
}

TokenId Tokenizer::State::special_at(std::string_view text, size_t offset, bool parse_control) const {
  for (const TokenId token : special_by_first_byte[static_cast<uint8_t>(text[offset])]) {
    const auto index = static_cast<size_t>(token);
    if (types[index] == kControl && !parse_control) continue;
    if (text.substr(offset).starts_with(texts[index])) return token;
  }
  return -1;
}

void Tokenizer::State::encode_words(std::string_view text, WordCache& cache,
                                    std::vector<TokenId>& out) const {
  constexpr size_t kLongestCachedWord = 32;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, first_word_bytes(pre_tokenizer, text));
    text.remove_prefix(word.size());
    if (word.size() <= kLongestCachedWord && cache.find(word, out)) continue;
    const size_t first = out.size();
    const TokenId whole = whole_words_first ? normal.find(entry_of_bytes(word)) : TextIndex::kNone;
    if (whole != TextIndex::kNone) {
      out.push_back(whole);
    } else {
      pairs.encode(word, out);
    }
    if (word.size() <= kLongestCachedWord) cache.add(word, std::span(out).subspan(first));
  }
}

Tokenizer::Tokenizer(const gguf::Metadata& metadata) : state_(std::make_unique<State>(metadata)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

uint64_t Tokenizer::estimate_bytes(const gguf::Metadata& metadata) {
  if (!metadata.contains(list_key("tokens")) || !metadata.contains(list_key("merges"))) return 0;
  const gguf::StringArray& texts = metadata.get_strings(list_key("tokens"));
  const size_t merges = metadata.get_strings(list_key("merges")).size();
  return texts.block().size() + texts.size() * (sizeof(uint32_t) + sizeof(uint8_t)) +
         TextIndex::bytes_for(texts.size()) + BytePairs::bytes_for(merges);
}

uint32_t Tokenizer::vocabulary_size() const {
  return static_cast<uint32_t>(state_->texts.size());
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, SpecialTokens special) const {
  const bool parse_control = special == SpecialTokens::kParse;
  std::vector<TokenId> out;
  out.reserve(text.size() / 4 + 1);
  WordCache cache;
  size_t plain_start = 0;
  for (size_t offset = 0; offset < text.size();) {
    const TokenId token = state_->special_at(text, offset, parse_control);
    if (token < 0) {
      ++offset;
      continue;
    }
    state_->encode_words(text.substr(plain_start, offset - plain_start), cache, out);
    out.push_back(token);
    offset += state_->texts[static_cast<size_t>(token)].size();
    plain_start = offset;
  }
  state_->encode_words(text.substr(plain_start), cache, out);
  return out;
}

std::string Tokenizer::decode(TokenId token, bool show_special) const {
  if (token < 0 || static_cast<size_t>(token) >= state_->texts.size()) {
    fail(ErrorKind::kUsage, "token id {} is outside of the vocabulary of {}", token, state_->texts.size());
  }
  const auto index = static_cast<size_t>(token);
  const uint8_t type = state_->types[index];
  const bool control = type == kControl || type == kUnknown;
  if (type == kUnused || (control && !show_special)) return {};
  const std::string_view text = state_->texts[index];
  return type == kNormal ? bytes_of_entry(text).value_or("") : std::string(text);
}

std::string Tokenizer::decode(std::span<const TokenId> tokens, bool show_special) const {
  std::string text;
  for (const TokenId token : tokens) text += decode(token, show_special);
  return text;
}

bool Tokenizer::is_end(TokenId token) const {
  return token >= 0 && static_cast<size_t>(token) < state_->is_end.size() &&
         state_->is_end[static_cast<size_t>(token)];
}

std::optional<TokenId> Tokenizer::bos() const {
  return state_->bos;
}
bool Tokenizer::add_bos() const {
  return state_->add_bos;
}

}  // namespace stonechat
