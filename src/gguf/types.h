// The element types of GGUF tensors and the types of its metadata values.
//
// Source: the GGUF specification (ggml, docs/gguf.md). The numbers are those of the file format, and our own
// beyond them (docs/quantization.md), which other programs refuse as unknown.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stonechat::gguf {

// How a tensor's elements are stored. A row is `row_header_bytes`, then blocks: each holds `block_elements`
// consecutive elements in `block_bytes`.
enum class TensorType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kI8 = 24,  // plain bytes: only in packed files (docs/packed-format.md)
  kBF16 = 30,
  // Rows of 8-bit codes, w = mean + scale * code: a header of both (quant/block_formats.h), then a code a
  // column. All three are read alike; the names say how scale and mean were chosen (quant/schemes.h).
  kQ8_T = 1'000'001,
  kQ8_M = 1'000'002,
  kQ8_R = 1'000'003,
};

struct TensorTypeInfo {
  TensorType type;
  std::string_view name;  // "F32", "Q8_0"
  uint32_t block_elements;
  uint32_t block_bytes;
  uint32_t row_header_bytes = 0;
};

const TensorTypeInfo& info(TensorType type);
std::optional<TensorType> tensor_type_from_number(uint32_t number);
std::string tensor_type_names();  // "F32, F16, ...": all of them
// Bytes of a row of `cols` elements, a multiple of the type's block, from a file that was checked.
uint64_t row_bytes(TensorType type, uint64_t cols);
// Whether a row has a header: such rows are encoded and decoded one at a time.
inline bool has_row_header(TensorType type) {
  return info(type).row_header_bytes != 0;
}
inline std::string_view name(TensorType type) {
  return info(type).name;
}

enum class ValueType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

std::string_view name(ValueType type);

}  // namespace stonechat::gguf
