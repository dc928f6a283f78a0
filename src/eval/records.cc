#include "eval/records.h"

#include <charconv>
#include <set>

#include "base/error.h"
#include "base/input_file.h"

namespace stonechat {
namespace {

std::vector<Record> json_lines(const std::string& text, const std::string& path) {
  std::vector<Record> records;
  size_t line = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view row = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    const std::string where = fmt::format("{}:{}", path, ++line);
    if (row.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    Json fields = parse_strict_json(row, where);
    if (!fields.is_object())
      fail(ErrorKind::kBadFile, "{}: expected an object, found {}", where, json_text(fields));
    records.push_back({std::move(fields), where});
  }
  return records;
}

struct CsvRow {
  std::vector<std::string> fields;
  size_t line = 0;
};

class CsvReader {
 public:
  CsvReader(const std::string& text, const std::string& path) : text_(text), path_(path) {}

  bool next(CsvRow& row) {
    if (at_ >= text_.size()) return false;
    row = {{}, line_};
    do row.fields.push_back(field());
    while (take(','));
    take('\r');
    if (at_ < text_.size() && !take('\n'))
      fail(ErrorKind::kBadFile, "{}:{}: field {}: text after a closing quote", path_, line_,
           row.fields.size());
    ++line_;
    return true;
  }

 private:
  bool take(char character) {
    if (at_ >= text_.size() || text_[at_] != character) return false;
    ++at_;
    return true;
  }

  std::string field() {
    std::string value;
    if (!take('"')) {
      while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '\n' && text_[at_] != '\r')
        value += text_[at_++];
      return value;
    }
    const size_t first_line = line_;
    for (;;) {
      if (at_ >= text_.size())
        fail(ErrorKind::kBadFile, "{}:{}: a quote opens here and never closes", path_, first_line);
      const char character = text_[at_++];
      if (character == '"' && !take('"')) return value;
      if (character == '\n') ++line_;
      value += character;
    }
  }

  const std::string& text_;
  const std::string& path_;
  size_t at_ = 0;
  size_t line_ = 1;
};

std::vector<Record> csv_rows(const std::string& text, const std::string& path) {
  CsvReader reader(text, path);
  CsvRow header;
  CsvRow row;
  std::vector<Record> records;
  if (!reader.next(header))
    fail(ErrorKind::kBadFile, "{}:1: expected a line of field names, found nothing", path);
  const std::set<std::string> names(header.fields.begin(), header.fields.end());
  if (names.size() != header.fields.size())
    fail(ErrorKind::kBadFile, "{}:1: expected different field names, one is there twice", path);
  while (reader.next(row)) {
    if (row.fields.size() == 1 && row.fields[0].empty()) continue;
    const std::string where = fmt::format("{}:{}", path, row.line);
    if (row.fields.size() != header.fields.size())
      fail(ErrorKind::kBadFile, "{}: expected {} fields, found {}", where, header.fields.size(),
           row.fields.size());
    Json fields = Json::object();
    for (size_t i = 0; i < row.fields.size(); ++i) fields[header.fields[i]] = row.fields[i];
    records.push_back({std::move(fields), where});
  }
  return records;
}

// The value called `name` in an object, or the one with that number in an array.
const Json* child(const Json& value, std::string_view name) {
  if (value.is_object()) {
    const auto found = value.find(std::string(name));
    return found == value.end() || found->is_null() ? nullptr : &*found;
  }
  size_t index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  const bool is_index = error == std::errc() && end == name.data() + name.size();
  return value.is_array() && is_index && index < value.size() && !value[index].is_null() ? &value[index]
                                                                                         : nullptr;
}

}  // namespace

std::vector<Record> read_records(const std::string& path) {
  const InputFile file(path);
  if (file.bytes() > kMostRecordBytes)
    fail(ErrorKind::kLimit, "{}: has {} bytes, at most {} are read", path, file.bytes(), kMostRecordBytes);
  std::string text = file.read_all();
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  std::vector<Record> records = path.ends_with(".csv") ? csv_rows(text, path) : json_lines(text, path);
  if (records.empty()) fail(ErrorKind::kBadFile, "{}: expected at least one record, found none", path);
  return records;
}

const Json* find_field(const Record& record, std::string_view path) {
  const Json* value = &record.fields;
  while (value != nullptr && !path.empty()) {
    const size_t dot = std::min(path.find('.'), path.size());
    value = child(*value, path.substr(0, dot));
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return value;
}

void refuse_field(const Record& record, std::string_view path, std::string_view expected) {
  const Json* found = find_field(record, path);
  fail(ErrorKind::kBadFile, "{}: {}: expected {}, found {}", record.where, path, expected,
       found == nullptr ? "nothing" : json_text(*found));
}

std::string text_field(const Record& record, std::string_view path) {
  const Json* value = find_field(record, path);
  if (value != nullptr && value->is_string()) return value->get<std::string>();
  if (value != nullptr && value->is_number_integer()) return value->dump();
  refuse_field(record, path, "a text");
}

std::vector<std::string> texts_field(const Record& record, std::string_view path) {
  std::vector<std::string> texts;
  const Json* list = find_field(record, path);
  if (list == nullptr || !list->is_array()) refuse_field(record, path, "an array of texts");
  for (const Json& one : *list) {
    if (!one.is_string()) refuse_field(record, path, "an array of texts");
    texts.push_back(one.get<std::string>());
  }
  return texts;
}

}  // namespace stonechat
