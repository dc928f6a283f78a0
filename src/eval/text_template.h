// Texts with fields of records in them, such as "Question: {question|strip}\nAnswer:".
//
// {PATH} and {PATH|FILTER} stand for a field (records.h says what a path is), {{ and }} for braces. Filters:
// strip takes blanks off both ends, capitalize is Python's for ASCII letters, before_blank and after_blank
// are what stands on either side of the first '_', the latter without blanks at its ends.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "eval/records.h"

namespace stonechat {

class TextTemplate {
 public:
  // Error{kBadFile} that begins with `where` when the text is no template.
  explicit TextTemplate(std::string_view text, std::string_view where = "template");

  bool has_fields(const Record& record) const;
  // Error{kBadFile} naming the field that is missing, no text, or without a '_' where one is needed.
  std::string fill(const Record& record) const;

 private:
  enum class Filter { kNone, kStrip, kCapitalize, kBeforeBlank, kAfterBlank };
  // A text, then a field unless `path` is empty.
  struct Piece {
    std::string text;
    std::string path;
    Filter filter = Filter::kNone;
  };

  static Filter filter_named(std::string_view name, std::string_view where);
  static std::string apply(const Piece& piece, const Record& record);

  std::vector<Piece> pieces_;
};

// Without the characters at the end, or at both ends, that Python takes for blanks.
std::string_view without_trailing_blanks(std::string_view text);
std::string_view stripped(std::string_view text);

}  // namespace stonechat
