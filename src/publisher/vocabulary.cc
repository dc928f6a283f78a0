#include "publisher/vocabulary.h"

#include <array>
#include <optional>
#include <unordered_set>
#include <utility>

#include "base/error.h"

namespace stonechat {
namespace {

// tokenizer.ggml.token_type
constexpr int64_t kNormal = 1;
constexpr int64_t kControl = 3;
constexpr int64_t kUserDefined = 4;
constexpr int64_t kUnused = 5;

constexpr std::string_view kLetterSpace = "\u2581";  // how SentencePiece writes a space
constexpr std::string_view kByteSpace = "\u0120";    // how byte-level vocabularies write it

// The patterns that split text into words, as publishers write them.
constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kSplitPatterns = {{
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "qwen2"},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "llama-bpe"},
}};

[[noreturn]] void refuse_pre_tokenizer(const JsonFields& tokenizer, const std::string& found) {
  fail(ErrorKind::kBadFile, "{}: pre_tokenizer: expected that of gpt-2, llama-bpe, qwen2 or smollm, found {}",
       tokenizer.file(), found);
}

// One step of a pre-tokenizer as a short text: "bytes", "bytes with words", "digits", or the name that the
// pattern of a split gives.
std::string step_name(const JsonFields& step) {
  const std::string type = step.get_string("type");
  if (type == "ByteLevel") {
    if (step.find_bool("add_prefix_space").value_or(true)) step.refuse("add_prefix_space", "false");
    return step.find_bool("use_regex").value_or(true) ? "bytes with words" : "bytes";
  }
  if (type == "Digits" && step.find_bool("individual_digits").value_or(false)) return "digits";
  if (type == "Split" && step.find_string("behavior").value_or("") == "Isolated" &&
      !step.find_bool("invert").value_or(false)) {
    const std::string pattern = step.get_object("pattern").find_string("Regex").value_or("");
    for (const auto& [known, name] : kSplitPatterns) {
      if (pattern == known) return std::string(name);
    }
    return fmt::format("a split by '{}'", json_text(pattern));
  }
  return type;
}

std::string pre_tokenizer_name(const JsonFields& tokenizer) {
  const JsonFields root = tokenizer.get_object("pre_tokenizer");
  std::vector<std::string> steps;
  if (root.get_string("type") == "Sequence") {
    for (const Json& step : root.get_array("pretokenizers")) {
      if (!step.is_object()) root.refuse("pretokenizers", "objects");
      steps.push_back(step_name(JsonFields(step, tokenizer.file(), "pre_tokenizer.pretokenizers")));
    }
  } else {
    steps.push_back(step_name(root));
  }
  const std::string all = fmt::format("{}", fmt::join(steps, ", "));
  if (all == "bytes with words") return "gpt-2";
  if (all == "digits, bytes with words") return "smollm";
  for (const auto& [pattern, name] : kSplitPatterns) {
    if (all == fmt::format("{}, bytes", name)) return std::string(name);
  }
  refuse_pre_tokenizer(tokenizer, all);
}

// Whether words that are tokens are taken whole, which GGUF says by the name of the pre-tokenizer.
void check_whole_words(const JsonFields& model, const std::string& pre_tokenizer) {
  const bool expected = pre_tokenizer == "llama-bpe";
  if (model.find_bool("ignore_merges").value_or(false) != expected)
    model.refuse("ignore_merges", fmt::format("{} with the pre_tokenizer of {}", expected, pre_tokenizer));
}

void check_kind(const JsonFields& tokenizer, const JsonFields& model) {
  if (model.find_string("type").value_or("BPE") != "BPE") model.refuse("type", "BPE");
  if (model.find_bool("byte_fallback").value_or(false))
    model.refuse("byte_fallback", "false, as in byte-level BPE");
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!model.find_string(affix).value_or("").empty()) model.refuse(affix, "nothing");
  }
  if (tokenizer.get_object("decoder").get_string("type") != "ByteLevel") {
    tokenizer.get_object("decoder").refuse("type", "ByteLevel");
  }
  const auto normalizer = tokenizer.find_object("normalizer");
  if (normalizer && normalizer->get_string("type") != "NFC")
    normalizer->refuse("type", "NFC or no normalizer");
}

// Added tokens that should be control tokens although their publisher doesn't mark them as such. llama.cpp's
// converter has the same rule.
bool looks_special(std::string_view text) {
  if (text == "<pad>" || text == "<mask>" || text == "<2mass>" || text == "[@BOS@]") return true;
  return (text.starts_with("<|") && text.ends_with("|>")) ||
         (text.starts_with("<\uff5c") && text.ends_with("\uff5c>")) ||
         (text.starts_with("<unused") && text.ends_with(">"));
}

std::string replaced(std::string text, std::string_view what, std::string_view by) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
  return text;
}

class TokenList {
 public:
  TokenList(const JsonFields& tokenizer, uint64_t size)
      : file_(tokenizer.file()), types_(size, kUnused), texts_(size) {}

  void add_model(const Json& vocabulary) {
    for (const auto& [text, id] : vocabulary.items()) put(checked_id(id, text), text, kNormal);
  }

  // The file may name an added token in the model's vocabulary too, with the same id.
  void add_added(const Json& added) {
    std::unordered_set<std::string> seen;
    for (const Json& entry : added) {
      if (!entry.is_object())
        fail(ErrorKind::kBadFile, "{}: added_tokens: expected objects, found {}", file_, json_text(entry));
      const JsonFields fields(entry, file_, "added_tokens");
      const std::string text = fields.get_string("content");
      if (text.empty()) fields.refuse("content", "a text");
      if (!seen.insert(text).second)
        fail(ErrorKind::kBadFile, "{}: added_tokens: expected each text once, found '{}' again", file_, text);
      const auto found = entry.find("id");
      if (found == entry.end()) fields.refuse("id", "an id");
      const uint64_t id = checked_id(*found, text);
      const bool control = fields.find_bool("special").value_or(false) || looks_special(text);
      if (types_[id] == kNormal && texts_[id] == text) types_[id] = kUnused;
      put(id, control ? text : replaced(text, kLetterSpace, " "), control ? kControl : kUserDefined);
    }
  }

  std::vector<int64_t> take_types() { return std::move(types_); }
  std::vector<std::string> take_texts() {
    for (size_t id = 0; id < texts_.size(); ++id) {
      if (types_[id] == kUnused) texts_[id] = fmt::format("[PAD{}]", id);
    }
    return std::move(texts_);
  }

 private:
  uint64_t checked_id(const Json& id, const std::string& text) const {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= texts_.size()) {
      fail(ErrorKind::kBadFile,
           "{}: token '{}': expected an id below {} (vocab_size of config.json), found {}", file_,
           json_text(text), texts_.size(), json_text(id));
    }
    return id.get<uint64_t>();
  }
  void put(uint64_t id, const std::string& text, int64_t type) {
    if (types_[id] != kUnused) {
      fail(ErrorKind::kBadFile, "{}: token '{}': expected an id of its own, found {}, that of '{}'", file_,
           json_text(text), id, json_text(texts_[id]));
    }
    types_[id] = type;
    texts_[id] = text;
  }

  std::string file_;
  std::vector<int64_t> types_;
  std::vector<std::string> texts_;
};

// Merges are texts "left right", or pairs of texts in files of newer tools.
std::vector<std::string> read_merges(const JsonFields& model) {
  std::vector<std::string> merges;
  for (const Json& merge : model.get_array("merges")) {
    if (merge.is_string()) {
      merges.push_back(merge.get<std::string>());
      continue;
    }
    if (!merge.is_array() || merge.size() != 2 || !merge[0].is_string() || !merge[1].is_string()) {
      fail(ErrorKind::kBadFile, "{}: model.merges[{}]: expected a text or two, found {}", model.file(),
           merges.size(), json_text(merge));
    }
    // A space stands between the two, so within them it's written as the vocabulary does.
    merges.push_back(replaced(merge[0].get<std::string>(), " ", kByteSpace) + " " +
                     replaced(merge[1].get<std::string>(), " ", kByteSpace));
  }
  return merges;
}

}  // namespace

Vocabulary read_vocabulary(const JsonFields& tokenizer, uint64_t size) {
  const JsonFields model = tokenizer.get_object("model");
  check_kind(tokenizer, model);
  Vocabulary vocabulary;
  vocabulary.pre_tokenizer = pre_tokenizer_name(tokenizer);
  check_whole_words(model, vocabulary.pre_tokenizer);
  TokenList list(tokenizer, size);
  list.add_model(model.get_object("vocab").json());
  if (const Json* added = tokenizer.find_array("added_tokens")) list.add_added(*added);
  vocabulary.tokens = list.take_texts();
  vocabulary.types = list.take_types();
  vocabulary.merges = read_merges(model);
  return vocabulary;
}

void add_vocabulary(Vocabulary vocabulary, gguf::Metadata& metadata) {
  using gguf::Array;
  using gguf::StringArray;
  using gguf::ValueType;
  metadata.set("tokenizer.ggml.model", gguf::Value::of_string("gpt2"));
  metadata.set("tokenizer.ggml.pre", gguf::Value::of_string(vocabulary.pre_tokenizer));
  metadata.set("tokenizer.ggml.tokens",
               {ValueType::kArray, ValueType::kString, Array(StringArray(vocabulary.tokens))});
  metadata.set("tokenizer.ggml.token_type",
               {ValueType::kArray, ValueType::kInt32, Array(std::move(vocabulary.types))});
  metadata.set("tokenizer.ggml.merges",
               {ValueType::kArray, ValueType::kString, Array(StringArray(vocabulary.merges))});
}

}  // namespace stonechat
