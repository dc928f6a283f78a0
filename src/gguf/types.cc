#include "gguf/types.h"

#include <array>

namespace stonechat::gguf {
namespace {

// In order of the numbers.
constexpr std::array<TensorTypeInfo, 15> kTypes = {{
    {TensorType::kF32, "F32", 1, 4},
    {TensorType::kF16, "F16", 1, 2},
    {TensorType::kQ4_0, "Q4_0", 32, 18},
    {TensorType::kQ4_1, "Q4_1", 32, 20},
    {TensorType::kQ5_0, "Q5_0", 32, 22},
    {TensorType::kQ5_1, "Q5_1", 32, 24},
    {TensorType::kQ8_0, "Q8_0", 32, 34},
    {TensorType::kQ4_K, "Q4_K", 256, 144},
    {TensorType::kQ5_K, "Q5_K", 256, 176},
    {TensorType::kQ6_K, "Q6_K", 256, 210},
    {TensorType::kI8, "I8", 1, 1},
    {TensorType::kBF16, "BF16", 1, 2},
    {TensorType::kQ8_T, "Q8_T", 32, 32, 8},
    {TensorType::kQ8_M, "Q8_M", 32, 32, 8},
    {TensorType::kQ8_R, "Q8_R", 32, 32, 8},
}};

}  // namespace

const TensorTypeInfo& info(TensorType type) {
  for (const auto& entry : kTypes) {
    if (entry.type == type) return entry;
  }
  return kTypes[0];  // not reached: values of the enum come from tensor_type_from_number
}

std::optional<TensorType> tensor_type_from_number(uint32_t number) {
  for (const auto& entry : kTypes) {
    if (static_cast<uint32_t>(entry.type) == number) return entry.type;
  }
  return std::nullopt;
}

std::string tensor_type_names() {
  std::string names;
  for (const auto& entry : kTypes) {
    if (!names.empty()) names += ", ";
    names += entry.name;
  }
  return names;
}

uint64_t row_bytes(TensorType type, uint64_t cols) {
  const TensorTypeInfo& stored = info(type);
  return stored.row_header_bytes + cols / stored.block_elements * stored.block_bytes;
}

std::string_view name(ValueType type) {
  constexpr std::array<std::string_view, 13> kNames = {"uint8",  "int8",    "uint16", "int16",  "uint32",
                                                       "int32",  "float32", "bool",   "string", "array",
                                                       "uint64", "int64",   "float64"};
  return kNames[static_cast<size_t>(type)];
}

}  // namespace stonechat::gguf
