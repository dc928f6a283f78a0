#include "tokenizer/pre_tokenizer.h"

#include "tokenizer/unicode.h"

namespace stonechat {
namespace {

constexpr char32_t kLongS = 0x17f;  // folds to s

bool is_newline(char32_t code) {
  return code == '\r' || code == '\n';
}

class Scanner {
 public:
  Scanner(PreTokenizer style, std::string_view text) : style_(style), text_(text) {}

  size_t first_word() {
    const Character first = at(0);
    const CharClass first_class = class_of(first.code);
    if (style_ == PreTokenizer::kSmollm && first_class == CharClass::kNumber) return first.bytes;
    const bool is_gpt2 = style_ == PreTokenizer::kGpt2 || style_ == PreTokenizer::kSmollm;
    if (first.code == '\'') {
      if (const size_t bytes = contraction(!is_gpt2); bytes > 0) return bytes;
    }
    return is_gpt2 ? gpt2_word(first, first_class) : llama_word(first, first_class);
  }

 private:
  bool ends(size_t offset) const { return offset >= text_.size(); }
  Character at(size_t offset) const { return character_at(text_, offset); }
  bool has_class(size_t offset, CharClass wanted) const {
    return !ends(offset) && class_of(at(offset).code) == wanted;
  }

  // Where the run of characters of this class ends.
  size_t run_end(size_t offset, CharClass wanted, size_t most = SIZE_MAX) const {
    for (; most > 0 && !ends(offset); --most) {
      const Character character = at(offset);
      if (class_of(character.code) != wanted) break;
      offset += character.bytes;
    }
    return offset;
  }

  char32_t folded(size_t offset, bool ignore_case) const {
    const char32_t code = at(offset).code;
    if (!ignore_case) return code;
    if (code >= 'A' && code <= 'Z') return code + ('a' - 'A');
    return code == kLongS ? U's' : code;
  }

  // 's, 't, 're, 've, 'm, 'll, 'd after the apostrophe at 0; or 0.
  size_t contraction(bool ignore_case) const {
    if (ends(1)) return 0;
    const char32_t first = folded(1, ignore_case);
    const size_t second_offset = 1 + at(1).bytes;
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return second_offset;
    if (ends(second_offset)) return 0;
    const char32_t second = folded(second_offset, ignore_case);
    const bool matches = ((first == 'r' || first == 'v') && second == 'e') || (first == 'l' && second == 'l');
    return matches ? second_offset + at(second_offset).bytes : 0;
  }

  size_t gpt2_word(Character first, CharClass first_class) const {
    // A space goes with the word after it; to smollm a number is a word of its own.
    size_t start = 0;
    CharClass word_class = first_class;
    if (first.code == ' ' && !ends(1)) {
      const CharClass next = class_of(at(1).code);
      const bool joins =
          next != CharClass::kSpace && !(style_ == PreTokenizer::kSmollm && next == CharClass::kNumber);
      if (joins) {
        start = 1;
        word_class = next;
      }
    }
    if (word_class != CharClass::kSpace) return run_end(start, word_class);
    return spaces();
  }

  size_t llama_word(Character first, CharClass first_class) const {
    if (first_class == CharClass::kLetter) return run_end(0, CharClass::kLetter);
    const bool may_lead_letters = first_class != CharClass::kNumber && !is_newline(first.code);
    if (may_lead_letters && has_class(first.bytes, CharClass::kLetter)) {
      return run_end(first.bytes, CharClass::kLetter);
    }
    if (first_class == CharClass::kNumber) {
      return run_end(0, CharClass::kNumber, style_ == PreTokenizer::kLlamaBpe ? 3 : 1);
    }
    const size_t start = first.code == ' ' ? 1 : 0;
    if (has_class(start, CharClass::kOther)) {
      size_t end = run_end(start, CharClass::kOther);
      while (!ends(end) && is_newline(at(end).code)) ++end;
      return end;
    }
    return spaces_with_newlines();
  }

  // \s+(?!\S)|\s+: all of the run, but its last character is left to a word that follows.
  size_t spaces() const {
    size_t offset = 0;
    size_t last_start = 0;
    while (has_class(offset, CharClass::kSpace)) {
      last_start = offset;
      offset += at(offset).bytes;
    }
    const bool word_follows = !ends(offset) && !is_cut_by_number(offset);
    return word_follows && last_start > 0 ? last_start : offset;
  }

  // To smollm the text ends before a number, for what comes before it.
  bool is_cut_by_number(size_t offset) const {
    return style_ == PreTokenizer::kSmollm && has_class(offset, CharClass::kNumber);
  }

  // \s*[\r\n]+ takes the run up to its last newline; without one as spaces().
  size_t spaces_with_newlines() const {
    size_t after_newline = 0;
    for (size_t offset = 0; has_class(offset, CharClass::kSpace);) {
      const Character character = at(offset);
      offset += character.bytes;
      if (is_newline(character.code)) after_newline = offset;
    }
    return after_newline > 0 ? after_newline : spaces();
  }

  PreTokenizer style_;
  std::string_view text_;
};

}  // namespace

std::optional<PreTokenizer> pre_tokenizer_from_name(std::string_view name) {
  if (name == "gpt-2" || name == "gpt2") return PreTokenizer::kGpt2;
  if (name == "llama-bpe" || name == "llama3" || name == "llama-v3") return PreTokenizer::kLlamaBpe;
  if (name == "qwen2") return PreTokenizer::kQwen2;
  if (name == "smollm") return PreTokenizer::kSmollm;
  return std::nullopt;
}

size_t first_word_bytes(PreTokenizer style, std::string_view text) {
  return Scanner(style, text).first_word();
}

}  // namespace stonechat
