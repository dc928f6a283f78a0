#include "gguf/metadata.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace stonechat::gguf {
namespace {

bool is_integer(ValueType type) {
  return type != ValueType::kFloat32 && type != ValueType::kFloat64 && type != ValueType::kString &&
         type != ValueType::kArray && type != ValueType::kBool;
}

std::string type_text(const Value& value) {
  if (value.type != ValueType::kArray) return std::string(name(value.type));
  return fmt::format("array of {}", name(value.element_type));
}

[[noreturn]] void wrong_type(const std::string& file, std::string_view key, std::string_view expected,
                             const Value* found) {
  fail(ErrorKind::kBadFile, "{}: {}: expected {}, found {}", file, key, expected,
       found == nullptr ? "nothing" : type_text(*found));
}

template <typename Elements>
const Elements* array_of(const Value* value) {
  if (value == nullptr || value->type != ValueType::kArray) return nullptr;
  return std::get_if<Elements>(&std::get<Array>(value->data));
}

}  // namespace

Value Value::of_uint32(uint32_t value) {
  return {ValueType::kUint32, ValueType::kUint32, int64_t{value}};
}
Value Value::of_float32(float value) {
  return {ValueType::kFloat32, ValueType::kUint32, double{value}};
}
Value Value::of_bool(bool value) {
  return {ValueType::kBool, ValueType::kUint32, int64_t{value ? 1 : 0}};
}
Value Value::of_string(std::string value) {
  return {ValueType::kString, ValueType::kUint32, std::move(value)};
}

const Value* Metadata::find(std::string_view key) const {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const KeyValue& entry) { return entry.key == key; });
  return found == entries_.end() ? nullptr : &found->value;
}

void Metadata::set(std::string key, Value value) {
  for (auto& entry : entries_) {
    if (entry.key == key) {
      entry.value = std::move(value);
      return;
    }
  }
  entries_.push_back({std::move(key), std::move(value)});
}

void Metadata::erase(std::string_view key) {
  std::erase_if(entries_, [&](const KeyValue& entry) { return entry.key == key; });
}

std::optional<uint64_t> Metadata::find_uint(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!is_integer(value->type)) wrong_type(file_, key, "an integer", value);
  const int64_t number = std::get<int64_t>(value->data);
  if (number < 0 && value->type != ValueType::kUint64) {
    fail(ErrorKind::kBadFile, "{}: {}: expected 0 or more, found {}", file_, key, number);
  }
  return static_cast<uint64_t>(number);
}

std::optional<double> Metadata::find_float(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != ValueType::kFloat32 && value->type != ValueType::kFloat64) {
    wrong_type(file_, key, "a float", value);
  }
  return std::get<double>(value->data);
}

std::optional<bool> Metadata::find_bool(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != ValueType::kBool) wrong_type(file_, key, "bool", value);
  return std::get<int64_t>(value->data) != 0;
}

std::optional<std::string> Metadata::find_string(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != ValueType::kString) wrong_type(file_, key, "string", value);
  return std::get<std::string>(value->data);
}

uint64_t Metadata::get_uint(std::string_view key) const {
  const auto value = find_uint(key);
  if (!value) wrong_type(file_, key, "an integer", nullptr);
  return *value;
}

double Metadata::get_float(std::string_view key) const {
  const auto value = find_float(key);
  if (!value) wrong_type(file_, key, "a float", nullptr);
  return *value;
}

const std::string& Metadata::get_string(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr || value->type != ValueType::kString) wrong_type(file_, key, "string", value);
  return std::get<std::string>(value->data);
}

const StringArray& Metadata::get_strings(std::string_view key) const {
  const Value* value = find(key);
  const auto* array = array_of<StringArray>(value);
  if (array == nullptr) wrong_type(file_, key, "array of string", value);
  return *array;
}

std::span<const int64_t> Metadata::get_ints(std::string_view key) const {
  const Value* value = find(key);
  const auto* array = array_of<std::vector<int64_t>>(value);
  if (array == nullptr) wrong_type(file_, key, "array of integers", value);
  return *array;
}

}  // namespace stonechat::gguf
