// Characters, words, byte pairs and streams, each against something simpler.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <cstring>
#include <map>

#include "base/error.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/byte_pairs.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/text_index.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"
#include "tokenizer/utf8_stream.h"

namespace stonechat {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> words(PreTokenizer style, std::string_view text) {
  std::vector<std::string> result;
  while (!text.empty()) {
    const size_t bytes = first_word_bytes(style, text);
    EXPECT_GE(bytes, 1U);
    EXPECT_LE(bytes, text.size());
    result.emplace_back(text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
  return result;
}

TEST(Unicode, Characters) {
  EXPECT_EQ(character_at("a", 0).code, U'a');
  EXPECT_EQ(character_at("x\xe4\xb8\xad", 1).code, U'中');
  EXPECT_EQ(character_at("\xf0\x9f\x99\x82", 0).bytes, 4U);
  for (const std::string_view broken : {"\x80", "\xc0\xaf", "\xe4\xb8", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                        "\xff", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xc3("}) {
    EXPECT_EQ(character_at(broken, 0).bytes, 1U);
    EXPECT_EQ(character_at(broken, 0).code, U'\ufffd');
  }
}

TEST(Unicode, Classes) {
  EXPECT_EQ(class_of(U'é'), CharClass::kLetter);
  EXPECT_EQ(class_of(U'中'), CharClass::kLetter);
  EXPECT_EQ(class_of(U'½'), CharClass::kNumber);
  EXPECT_EQ(class_of(U'٣'), CharClass::kNumber);
  EXPECT_EQ(class_of(U'\u3000'), CharClass::kSpace);
  EXPECT_EQ(class_of(U'\u200b'), CharClass::kOther);
  EXPECT_EQ(class_of(U'\u0301'), CharClass::kOther);
}

TEST(PreTokenizer, Gpt2) {
  EXPECT_THAT(words(PreTokenizer::kGpt2, "It's 123  x!\n\n y"),
              ElementsAre("It", "'s", " 123", " ", " x", "!", "\n\n", " y"));
  EXPECT_THAT(words(PreTokenizer::kGpt2, "I'LL  "), ElementsAre("I", "'", "LL", "  "));
}

TEST(PreTokenizer, Qwen2) {
  EXPECT_THAT(words(PreTokenizer::kQwen2, "It'S 12  x!\n\n y\tz"),
              ElementsAre("It", "'S", " ", "1", "2", " ", " x", "!\n\n", " y", "\tz"));
  EXPECT_THAT(words(PreTokenizer::kQwen2, "a \n  b"), ElementsAre("a", " \n", " ", " b"));
}

TEST(PreTokenizer, LlamaTakesThreeDigits) {
  EXPECT_THAT(words(PreTokenizer::kLlamaBpe, "12345 67"), ElementsAre("123", "45", " ", "67"));
}

TEST(PreTokenizer, SmollmSplitsDigits) {
  EXPECT_THAT(words(PreTokenizer::kSmollm, "a  12 b"), ElementsAre("a", "  ", "1", "2", " b"));
}

RC_GTEST_PROP(PreTokenizerProperty, WordsCoverAnyBytes, (const std::string& text)) {
  for (const auto style :
       {PreTokenizer::kGpt2, PreTokenizer::kLlamaBpe, PreTokenizer::kQwen2, PreTokenizer::kSmollm}) {
    std::string joined;
    for (const auto& word : words(style, text)) joined += word;
    RC_ASSERT(joined == text);
  }
}

// The definition: look at all pairs, apply the best rule, again.
std::vector<int32_t> naive_merges(const std::string& word, const std::vector<std::array<int32_t, 3>>& rules) {
  std::vector<int32_t> tokens(word.begin(), word.end());
  for (;;) {
    size_t best_rule = rules.size();
    size_t best_at = 0;
    for (size_t at = 0; at + 1 < tokens.size(); ++at) {
      for (size_t rule = 0; rule < best_rule; ++rule) {
        if (rules[rule][0] == tokens[at] && rules[rule][1] == tokens[at + 1]) {
          best_rule = rule;
          best_at = at;
        }
      }
    }
    if (best_rule == rules.size()) return tokens;
    tokens[best_at] = rules[best_rule][2];
    tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
  }
}

RC_GTEST_PROP(BytePairsProperty, EqualTheDefinition, ()) {
  BytePairs pairs;
  for (int byte = 0; byte < 256; ++byte) pairs.set_byte_token(static_cast<uint8_t>(byte), byte);
  pairs.reserve(20);
  std::vector<std::array<int32_t, 3>> rules;
  std::vector<int32_t> known = {'a', 'b', 'c'};
  for (int32_t merged = 256; merged < 266; ++merged) {
    const int32_t left = *rc::gen::elementOf(known);
    const int32_t right = *rc::gen::elementOf(known);
    if (pairs.add_merge(left, right, merged) == Insertion::kNew) {
      rules.push_back({left, right, merged});
      known.push_back(merged);
    }
  }
  // Words on both sides of where the method changes.
  const auto size = *rc::gen::inRange<size_t>(1, 60);
  const std::string word = *rc::gen::container<std::string>(size, rc::gen::element('a', 'b', 'c'));
  std::vector<int32_t> tokens;
  pairs.encode(word, tokens);
  RC_ASSERT(tokens == naive_merges(word, rules));
}

TEST(BytePairs, TheLargestTokensFit) {
  BytePairs pairs;
  pairs.reserve(3);
  constexpr int32_t kLast = BytePairs::kMostTokens - 1;
  pairs.set_byte_token('a', kLast);
  pairs.set_byte_token('b', 0);
  EXPECT_EQ(pairs.add_merge(0, 0, kLast), Insertion::kNew);
  EXPECT_EQ(pairs.add_merge(kLast, 0, 7), Insertion::kNew);
  EXPECT_EQ(pairs.add_merge(kLast, kLast, 9), Insertion::kNew);
  std::vector<int32_t> tokens;
  pairs.encode("bba", tokens);
  EXPECT_THAT(tokens, ElementsAre(9));
  tokens.clear();
  pairs.encode("ab", tokens);
  EXPECT_THAT(tokens, ElementsAre(7));
}

TEST(BytePairs, APairTwiceIsRefused) {
  BytePairs pairs;
  pairs.reserve(2);
  EXPECT_EQ(pairs.add_merge(1, 2, 3), Insertion::kNew);
  EXPECT_EQ(pairs.add_merge(1, 2, 4), Insertion::kKnown);
}

TEST(BytePairs, PairsThatAllWantOnePlaceAreRefused) {
  constexpr size_t kRules = 4096, kSlots = 8192;
  BytePairs pairs;
  pairs.reserve(kRules);
  pairs.set_byte_token('a', 0);
  size_t added = 0;
  Insertion result = Insertion::kNew;
  for (uint32_t right = 0; right < BytePairs::kMostTokens && result == Insertion::kNew; ++right) {
    for (uint32_t left = 0; left < 8 && result == Insertion::kNew; ++left) {
      const uint64_t hash = (uint64_t{left} << 21 | right) * 0x9e3779b97f4a7c15U;
      if (((hash ^ (hash >> 32)) % kSlots) != 0) continue;
      result = pairs.add_merge(static_cast<int32_t>(left), static_cast<int32_t>(right), 5);
      added += result == Insertion::kNew ? 1 : 0;
    }
  }
  EXPECT_EQ(result, Insertion::kCrowded);
  EXPECT_EQ(added, kMostProbes);
  std::vector<int32_t> tokens;
  pairs.encode("aa", tokens);  // (0, 0) wants that place too, and was the first
  EXPECT_THAT(tokens, ElementsAre(5));
}

RC_GTEST_PROP(TextIndexProperty, FindsWhatAMapFinds, ()) {
  // Few letters and short texts, so that equal ones and common beginnings are frequent.
  const auto text = rc::gen::container<std::string>(rc::gen::element('a', 'b', '\xc3'));
  const auto texts = *rc::gen::container<std::vector<std::string>>(text);
  TextIndex index{gguf::StringArray(texts), texts.size()};
  std::map<std::string, int32_t> expected;
  for (size_t i = 0; i < texts.size(); ++i) {
    const bool is_new = expected.emplace(texts[i], static_cast<int32_t>(i)).second;
    RC_ASSERT((index.insert(static_cast<int32_t>(i)) == Insertion::kNew) == is_new);
  }
  for (const auto& [known, id] : expected) RC_ASSERT(index.find(known) == id);
  const std::string other = *text;
  RC_ASSERT(index.find(other) == (expected.contains(other) ? expected[other] : TextIndex::kNone));
}

TEST(TextIndex, TextsThatAllWantOnePlaceAreRefused) {
  // Of 16 bytes, the last eight such that the hash is 0.
  std::vector<std::string> texts;
  for (uint64_t first = 0; first <= kMostProbes; ++first) {
    const auto product =
        static_cast<unsigned __int128>(0x9e3779b97f4a7c15U ^ 16U ^ first) * 0xbf58476d1ce4e5b9U;
    const auto last = static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
    std::string text(16, '\0');
    std::memcpy(text.data(), &first, 8);
    std::memcpy(text.data() + 8, &last, 8);
    texts.push_back(text);
  }
  TextIndex index{gguf::StringArray(texts), texts.size()};
  const auto last = static_cast<int32_t>(kMostProbes);
  for (int32_t id = 0; id < last; ++id) ASSERT_EQ(index.insert(id), Insertion::kNew);
  EXPECT_EQ(index.insert(last), Insertion::kCrowded);
  EXPECT_EQ(index.insert(last - 1), Insertion::kKnown);
  EXPECT_EQ(index.find(texts[kMostProbes - 1]), last - 1);
  EXPECT_EQ(index.find(texts[kMostProbes]), TextIndex::kNone);
}

TEST(TextIndex, AnEmptyOneFindsNothing) {
  EXPECT_EQ(TextIndex().find("a"), TextIndex::kNone);
}

TEST(ByteAlphabet, EveryByteHasACharacter) {
  EXPECT_EQ(bytes_of_entry("Ġthe"), " the");
  EXPECT_EQ(bytes_of_entry("Ċ"), "\n");
  EXPECT_EQ(bytes_of_entry("ÿ"), "\xff");
  EXPECT_EQ(bytes_of_entry("a b"), std::nullopt);
  EXPECT_EQ(bytes_of_entry("中"), std::nullopt);
  EXPECT_TRUE(is_entry("Ġthe"));
  EXPECT_FALSE(is_entry("a b"));
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(bytes_of_entry(entry_of_bytes(all)), all);
  EXPECT_EQ(entry_of_bytes(" \n\xff"), "ĠĊÿ");
}

RC_GTEST_PROP(Utf8StreamProperty, PiecesOfValidTextComeOutWhole, ()) {
  const std::string text = *rc::gen::map(
      rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>("a", "é", "中", "🙂")),
      [](const std::vector<std::string>& parts) {
        std::string joined;
        for (const auto& part : parts) joined += part;
        return joined;
      });
  Utf8Stream stream;
  std::string out;
  for (const char byte : text) {
    out += stream.push(std::string_view(&byte, 1));
    for (size_t at = 0; at < out.size();) {
      const Character character = character_at(out, at);
      RC_ASSERT(character.code != U'\ufffd');
      at += character.bytes;
    }
  }
  RC_ASSERT(out + stream.finish() == text);
}

TEST(Utf8Stream, BrokenBytesBecomeReplacementCharacters) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xff\xe4\xb8"), "a\ufffd");
  EXPECT_EQ(stream.push("x"), "\ufffd\ufffdx");
  EXPECT_EQ(stream.push("\xf0\x9f"), "");
  EXPECT_EQ(stream.finish(), "\ufffd");
  EXPECT_EQ(stream.finish(), "");
}

// A vocabulary of bytes and what `change` makes of it.
gguf::Metadata vocabulary(const std::function<void(gguf::Metadata&)>& change) {
  gguf::Metadata metadata("test.gguf");
  std::vector<std::string> tokens;
  int replaced = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const bool plain = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    const int code = plain ? byte : 0x100 + replaced++;
    std::string text;
    if (code < 0x80) {
      text = std::string(1, static_cast<char>(code));
    } else {
      text = {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
    }
    tokens.push_back(text);
  }
  tokens.push_back("ab");
  tokens.push_back("<|end|>");
  std::vector<int64_t> types(tokens.size(), 1);
  types.back() = 3;
  const auto list = [](gguf::Array array, gguf::ValueType type) {
    return gguf::Value{gguf::ValueType::kArray, type, std::move(array)};
  };
  metadata.set("tokenizer.ggml.model", gguf::Value::of_string("gpt2"));
  metadata.set("tokenizer.ggml.pre", gguf::Value::of_string("qwen2"));
  metadata.set("tokenizer.ggml.tokens", list(tokens, gguf::ValueType::kString));
  metadata.set("tokenizer.ggml.token_type", list(types, gguf::ValueType::kInt32));
  metadata.set("tokenizer.ggml.merges", list(std::vector<std::string>{"a b"}, gguf::ValueType::kString));
  change(metadata);
  return metadata;
}

TEST(Tokenizer, EncodesAndDecodes) {
  const Tokenizer tokenizer(vocabulary([](auto&) {}));
  using SpecialTokens = Tokenizer::SpecialTokens;
  EXPECT_THAT(tokenizer.encode("abb", SpecialTokens::kPlainText), ElementsAre(256, 'b'));
  EXPECT_THAT(tokenizer.encode("a<|end|>b", SpecialTokens::kParse), ElementsAre('a', 257, 'b'));
  EXPECT_EQ(tokenizer.encode("<|end|>", SpecialTokens::kPlainText).size(), 7U);
  EXPECT_EQ(tokenizer.decode(257), "");
  EXPECT_EQ(tokenizer.decode(257, true), "<|end|>");
  EXPECT_TRUE(tokenizer.is_end(257));
  EXPECT_FALSE(tokenizer.is_end(256));
  const Tokenizer unused(vocabulary([](gguf::Metadata& metadata) {
    std::vector<int64_t> types(258, 1);
    types.back() = 5;
    metadata.set("tokenizer.ggml.token_type",
                 {gguf::ValueType::kArray, gguf::ValueType::kInt32, gguf::Array(std::move(types))});
  }));
  EXPECT_EQ(unused.decode(257, true), "");
  EXPECT_THROW(tokenizer.decode(258), Error);
  EXPECT_THROW(tokenizer.decode(-1), Error);
}

TEST(Tokenizer, TheEstimateIsWhatIsCharged) {
  const auto charged = [] {
    uint64_t bytes = 0;
    for (const MemoryRange& range : charged_ranges())
      bytes += range.part == MemoryPart::kTokenizer ? range.end - range.begin : 0;
    return bytes;
  };
  const uint64_t before = charged();
  const gguf::Metadata metadata = vocabulary([](gguf::Metadata& all) {
    const gguf::StringArray& few = all.get_strings("tokenizer.ggml.tokens");
    std::vector<std::string> tokens(few.begin(), few.end());
    for (int i = 0; i < 100'000; ++i) tokens.push_back("number" + std::to_string(i));
    all.set("tokenizer.ggml.tokens",
            {gguf::ValueType::kArray, gguf::ValueType::kString, gguf::Array(tokens)});
    all.set("tokenizer.ggml.token_type", {gguf::ValueType::kArray, gguf::ValueType::kInt32,
                                          gguf::Array(std::vector<int64_t>(tokens.size(), 1))});
  });
  const Tokenizer tokenizer(metadata);
  EXPECT_NEAR(static_cast<double>(charged() - before),
              static_cast<double>(Tokenizer::estimate_bytes(metadata)), 3 * 4096);
  EXPECT_EQ(Tokenizer::estimate_bytes(gguf::Metadata()), 0U);
}

RC_GTEST_PROP(TokenizerProperty, AnyBytesComeBack, (const std::string& text)) {
  static const Tokenizer tokenizer(vocabulary([](auto&) {}));
  const auto tokens = tokenizer.encode(text, Tokenizer::SpecialTokens::kPlainText);
  RC_ASSERT(tokenizer.decode(tokens) == text);
}

TEST(Tokenizer, RefusesBrokenVocabularies) {
  const auto message = [](const std::function<void(gguf::Metadata&)>& change) -> std::string {
    try {
      const Tokenizer tokenizer(vocabulary(change));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
      return error.what();
    }
    return "no error";
  };
  const auto list = [](gguf::Array array, gguf::ValueType type) {
    return gguf::Value{gguf::ValueType::kArray, type, std::move(array)};
  };
  using Strings = std::vector<std::string>;
  const auto with = [&](const char* key, gguf::Value value) {
    return message(
        [&](gguf::Metadata& metadata) { metadata.set(std::string("tokenizer.ggml.") + key, value); });
  };
  const auto merges = [&](Strings texts) {
    return with("merges", list(std::move(texts), gguf::ValueType::kString));
  };
  EXPECT_THAT(with("model", gguf::Value::of_string("llama")),
              HasSubstr("tokenizer.ggml.model: expected gpt2"));
  EXPECT_THAT(with("pre", gguf::Value::of_string("exotic")), HasSubstr("tokenizer.ggml.pre: expected"));
  EXPECT_THAT(with("tokens", list(Strings{}, gguf::ValueType::kString)), HasSubstr("tokens: expected 1 to"));
  EXPECT_THAT(with("tokens", list(Strings(BytePairs::kMostTokens + 1), gguf::ValueType::kString)),
              HasSubstr("expected 1 to 2097152 tokens, found 2097153"));
  EXPECT_THAT(merges(Strings(BytePairs::kMostMerges + 1)),
              HasSubstr("expected at most 4194303, found 4194304"));
  EXPECT_THAT(with("tokens", list(Strings(258, "a"), gguf::ValueType::kString)),
              HasSubstr("each token once"));
  EXPECT_THAT(with("tokens", list(Strings(258, "中"), gguf::ValueType::kString)), HasSubstr("byte alphabet"));
  EXPECT_THAT(with("token_type", list(std::vector<int64_t>(3, 1), gguf::ValueType::kInt32)),
              HasSubstr("found 3"));
  EXPECT_THAT(with("token_type", list(std::vector<int64_t>(258, 9), gguf::ValueType::kInt32)),
              HasSubstr("token_type[0]: expected 1 to 6, found 9"));
  EXPECT_THAT(merges({"ab"}), HasSubstr("merges[0]: expected two tokens"));
  EXPECT_THAT(merges({"a "}), HasSubstr("merges[0]: expected two tokens"));
  EXPECT_THAT(merges({"a c"}), HasSubstr("expected tokens of the vocabulary"));
  EXPECT_THAT(merges({"a b", "a b"}), HasSubstr("merges[1]: expected each pair once"));
  EXPECT_THAT(with("eos_token_id", gguf::Value::of_uint32(9999)),
              HasSubstr("eos_token_id: expected an id below 258"));
  EXPECT_THAT(with("add_bos_token", gguf::Value::of_bool(true)), HasSubstr("bos_token_id: expected an id"));
  EXPECT_THAT(message([](gguf::Metadata& metadata) { metadata.erase("tokenizer.ggml.merges"); }),
              HasSubstr("tokenizer.ggml.merges: expected array of string, found nothing"));
}

TEST(ChatTemplate, UnknownOnesAreRefused) {
  const auto with = [](const std::string& jinja) {
    gguf::Metadata metadata("test.gguf");
    if (!jinja.empty()) metadata.set("tokenizer.chat_template", gguf::Value::of_string(jinja));
    return metadata;
  };
  EXPECT_THROW(ChatTemplate{with("")}, Error);
  EXPECT_THROW(ChatTemplate{with("[INST] {{ message }} [/INST]")}, Error);
  const std::string chatml =
      "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + "
      "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{{ '<|im_start|>assistant\n' }}";
  const ChatTemplate known(with(chatml));
  const std::vector<ChatMessage> messages = {{"user", "hi"}};
  EXPECT_EQ(known.render(messages, true), "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
  const std::vector<ChatMessage> wrong = {{"king", "hi"}};
  EXPECT_THROW(known.render(wrong, true), Error);
  EXPECT_THROW(ChatTemplate{with(chatml + "<think>")}, Error);
  EXPECT_THROW(ChatTemplate{with("{{ message['content'] | trim }}" + chatml)}, Error);
}

TEST(ChatTemplate, TheDefaultSystemPrompt) {
  const std::string chatml =
      "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
      "{{ '<|im_start|>assistant\n' }}";
  const auto found = [&](const std::string& jinja) -> std::string {
    gguf::Metadata metadata("test.gguf");
    metadata.set("tokenizer.chat_template", gguf::Value::of_string(jinja + chatml));
    const std::vector<ChatMessage> messages = {{"user", "hi"}};
    try {
      const std::string text = ChatTemplate(metadata).render(messages, false);
      return text.substr(0, text.find("<|im_start|>user"));
    } catch (const Error& error) {
      return error.what();
    }
  };
  EXPECT_EQ(found(""), "");
  EXPECT_EQ(found("{{ '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}"), "");
  EXPECT_EQ(found("<|im_start|>system\n{{ messages[0].content }}<|im_end|>\n"), "");
  EXPECT_EQ(found("{{ \"<|im_start|>system\\nYou're X.<|im_end|>\\n\" }}"),
            "<|im_start|>system\nYou're X.<|im_end|>\n");
  EXPECT_EQ(found("{{ '<|im_start|>system\nSay \"X\".<|im_end|>\n' }}"),
            "<|im_start|>system\nSay \"X\".<|im_end|>\n");
  // A Jinja program that we don't read is better refused than left out.
  EXPECT_THAT(found("{{ '<|im_start|>system\\nYou\\'re X.<|im_end|>\\n' }}"), HasSubstr("don't know"));
  EXPECT_THAT(found("{{ '<|im_start|>system\\nYou are ' + name + '<|im_end|>\\n' }}"),
              HasSubstr("don't know"));
}

}  // namespace
}  // namespace stonechat
