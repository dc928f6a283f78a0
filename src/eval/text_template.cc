#include "eval/text_template.h"

#include <array>
#include <utility>

#include "base/error.h"
#include "tokenizer/unicode.h"

namespace stonechat {
namespace {

// str.isspace(): White_Space and the four separators of ASCII.
bool is_blank(char32_t code) {
  return (code >= 0x1c && code <= 0x1f) || class_of(code) == CharClass::kSpace;
}

std::string capitalized(std::string text) {
  for (size_t i = 0; i < text.size(); ++i) {
    char& c = text[i];
    if (i == 0 && c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (i != 0 && c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

}  // namespace

std::string_view without_trailing_blanks(std::string_view text) {
  size_t end = 0;
  for (size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    at += character.bytes;
    if (!is_blank(character.code)) end = at;
  }
  return text.substr(0, end);
}

std::string_view stripped(std::string_view text) {
  text = without_trailing_blanks(text);
  while (!text.empty() && is_blank(character_at(text, 0).code))
    text.remove_prefix(character_at(text, 0).bytes);
  return text;
}

TextTemplate::TextTemplate(std::string_view text, std::string_view where) {
  Piece piece;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c != '{' && c != '}') {
      piece.text += c;
      continue;
    }
    if (at + 1 < text.size() && text[at + 1] == c) {
      piece.text += c;
      ++at;
      continue;
    }
    const size_t close = text.find('}', at + 1);
    const std::string_view inside = text.substr(at + 1, close == std::string_view::npos ? 0 : close - at - 1);
    const size_t bar = std::min(inside.find('|'), inside.size());
    if (c == '}' || bar == 0 || inside.find('{') != std::string_view::npos)
      fail(ErrorKind::kBadFile,
           "{}: expected {{FIELD}} or {{FIELD|FILTER}}, or {{{{ and }}}} for braces, found a '{}' at byte {}",
           where, c, at);
    piece.path = inside.substr(0, bar);
    if (bar != inside.size()) piece.filter = filter_named(inside.substr(bar + 1), where);
    pieces_.push_back(std::exchange(piece, {}));
    at = close;
  }
  if (!piece.text.empty()) pieces_.push_back(piece);
}

TextTemplate::Filter TextTemplate::filter_named(std::string_view name, std::string_view where) {
  constexpr std::array<std::pair<std::string_view, Filter>, 4> kFilters = {
      {{"strip", Filter::kStrip},
       {"capitalize", Filter::kCapitalize},
       {"before_blank", Filter::kBeforeBlank},
       {"after_blank", Filter::kAfterBlank}}};
  for (const auto& [known, filter] : kFilters) {
    if (known == name) return filter;
  }
  fail(ErrorKind::kBadFile,
       "{}: expected a filter strip, capitalize, before_blank or after_blank, found '{}'", where, name);
}

std::string TextTemplate::apply(const Piece& piece, const Record& record) {
  const std::string value = text_field(record, piece.path);
  const size_t blank = value.find('_');
  if ((piece.filter == Filter::kBeforeBlank || piece.filter == Filter::kAfterBlank) &&
      blank == std::string::npos)
    refuse_field(record, piece.path, "a text with a '_'");
  switch (piece.filter) {
    case Filter::kNone:
      break;
    case Filter::kStrip:
      return std::string(stripped(value));
    case Filter::kCapitalize:
      return capitalized(value);
    case Filter::kBeforeBlank:
      return value.substr(0, blank);
    case Filter::kAfterBlank:
      return std::string(stripped(value.substr(blank + 1)));
  }
  return value;
}

bool TextTemplate::has_fields(const Record& record) const {
  for (const Piece& piece : pieces_) {
    if (!piece.path.empty() && find_field(record, piece.path) == nullptr) return false;
  }
  return true;
}

std::string TextTemplate::fill(const Record& record) const {
  std::string result;
  for (const Piece& piece : pieces_) {
    result += piece.text;
    if (!piece.path.empty()) result += apply(piece, record);
  }
  return result;
}

}  // namespace stonechat
