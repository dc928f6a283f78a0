// The key-value part of a GGUF file, in memory: what the reader fills and the writer writes.
//
// Keys keep the file's order. Integers of every width are held in 64 bits and remember their type, so that a
// file that is read and written again keeps its bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gguf/string_array.h"
#include "gguf/types.h"

namespace stonechat::gguf {

// Elements of one array. Integers and bools of every width are `int64_t` (uint64 keeps its bit pattern),
// floats `double`. Arrays of arrays aren't supported; the reader refuses them.
using Array = std::variant<std::vector<int64_t>, std::vector<double>, StringArray>;

// What general.architecture says in a file that `stonechat pack` wrote (docs/packed-format.md).
inline constexpr std::string_view kPackedArchitecture = "stonechat-packed";

struct Value {
  ValueType type = ValueType::kUint32;          // kArray for arrays
  ValueType element_type = ValueType::kUint32;  // of an array
  std::variant<int64_t, double, std::string, Array> data = int64_t{0};

  static Value of_uint32(uint32_t value);
  static Value of_float32(float value);
  static Value of_bool(bool value);
  static Value of_string(std::string value);
};

struct KeyValue {
  std::string key;
  Value value;
};

// A list with typed look-up. `file` in the errors is the path given at construction.
class Metadata {
 public:
  explicit Metadata(std::string file = "(new file)") : file_(std::move(file)) {}

  const std::vector<KeyValue>& entries() const { return entries_; }
  const std::string& file() const { return file_; }
  const Value* find(std::string_view key) const;  // nullptr when absent
  bool contains(std::string_view key) const { return find(key) != nullptr; }

  // Adds a key that isn't there yet, which the caller knows.
  void append(std::string key, Value value) { entries_.push_back({std::move(key), std::move(value)}); }
  // Replaces or appends; `erase` of an absent key does nothing.
  void set(std::string key, Value value);
  void erase(std::string_view key);

  // Required values. Error{kBadFile} naming file, key, expected and found type (or "missing").
  uint64_t get_uint(std::string_view key) const;  // any integer type, not negative
  double get_float(std::string_view key) const;   // float32 or float64
  const std::string& get_string(std::string_view key) const;
  const StringArray& get_strings(std::string_view key) const;
  std::span<const int64_t> get_ints(std::string_view key) const;

  // Optional values: nothing when the key is absent; a value of another type is still an error.
  std::optional<uint64_t> find_uint(std::string_view key) const;
  std::optional<double> find_float(std::string_view key) const;
  std::optional<bool> find_bool(std::string_view key) const;
  std::optional<std::string> find_string(std::string_view key) const;

 private:
  std::string file_;
  std::vector<KeyValue> entries_;
};

}  // namespace stonechat::gguf
