// Records of data files: JSON lines, or CSV with a header line (RFC 4180: quoted fields may hold commas, line
// ends and doubled quotes). Errors: ErrorKind::kBadFile naming file, line and field; ErrorKind::kLimit for a
// file larger than kMostRecordBytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/strict_json.h"

namespace stonechat {

inline constexpr uint64_t kMostRecordBytes = uint64_t{256} << 20;

struct Record {
  Json fields;        // an object
  std::string where;  // "FILE:LINE"
};

std::vector<Record> read_records(const std::string& path);

// A field is named by a path: "choices.text", or "choices.0" for an array's first value. nullptr when it is
// absent or null.
const Json* find_field(const Record& record, std::string_view path);
// A text, or an integer as one.
std::string text_field(const Record& record, std::string_view path);
std::vector<std::string> texts_field(const Record& record, std::string_view path);
// "FILE:LINE: PATH: expected EXPECTED, found VALUE".
[[noreturn]] void refuse_field(const Record& record, std::string_view path, std::string_view expected);

}  // namespace stonechat
