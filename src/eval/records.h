// Records of data files: JSON lines, or CSV with a header line (RFC 4180: quoted fields may hold commas, line
// ends and doubled quotes). Errors: ErrorKind::kBadFile naming file, line and field; ErrorKind::kLimit for a
// file larger than kMostRecordBytes.
#pragma once

#include <string>
#include <vector>

#include "base/strict_json.h"

namespace stonechat {

inline constexpr uint64_t kMostRecordBytes = uint64_t{256} << 20;

struct Record {
  Json fields;        // an object
  std::string where;  // "FILE:LINE"
};

std::vector<Record> read_records(const std::string& path);

}  // namespace stonechat
