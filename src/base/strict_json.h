// JSON from an untrusted file: what nlohmann-json parses, but with each key of an object at most once, no
// deeper and no larger than said here.
//
// Errors: ErrorKind::kBadFile naming file, field, expected, found; ErrorKind::kIo when the system fails.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace stonechat {

inline constexpr uint32_t kMostJsonDepth = 32;
// Bounds memory: a text of small values takes some 20 times its size. Vocabularies of 300,000 tokens with
// their merges have 1.2 million.
inline constexpr uint64_t kMostJsonValues = 4 << 20;
inline constexpr uint64_t kMostJsonBytes = 64 << 20;

// `file` is what the errors call the text.
Json parse_strict_json(std::string_view text, const std::string& file);

// The content of a file, which must be an object.
Json read_json_object(const std::string& path);

// An object's fields with their types checked. Null counts as absent, as publishers write both. Refers to
// the object, which must outlive it.
class JsonFields {
 public:
  // `where` is empty or names the object within the file, such as "rope_scaling".
  JsonFields(const Json& object, std::string file, std::string where = "")
      : object_(&object), file_(std::move(file)), where_(std::move(where)) {}

  const std::string& file() const { return file_; }
  const Json* find(const std::string& key) const;  // nullptr when absent

  // Nothing when absent; another type, or a number outside of [least, most], is an error.
  std::optional<uint64_t> find_uint(const std::string& key, uint64_t least, uint64_t most) const;
  std::optional<double> find_number(const std::string& key, double least, double most) const;
  std::optional<bool> find_bool(const std::string& key) const;
  std::optional<std::string> find_string(const std::string& key) const;
  std::optional<JsonFields> find_object(const std::string& key) const;
  const Json* find_array(const std::string& key) const;  // nullptr when absent

  uint64_t get_uint(const std::string& key, uint64_t least, uint64_t most) const;
  double get_number(const std::string& key, double least, double most) const;
  std::string get_string(const std::string& key) const;
  JsonFields get_object(const std::string& key) const;
  const Json& get_array(const std::string& key) const;
  // An array of objects; they are called KEY[0], KEY[1] in errors.
  std::vector<JsonFields> get_objects(const std::string& key) const;

  const Json& json() const { return *object_; }

  // Error{kBadFile}: "FILE: FIELD: expected EXPECTED, found VALUE".
  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const;

 private:
  std::string path_of(const std::string& key) const { return where_.empty() ? key : where_ + "." + key; }

  const Json* object_;
  std::string file_;
  std::string where_;
};

// A value as errors show it: short, however large it is, and on one line.
std::string json_text(const Json& value);

}  // namespace stonechat
