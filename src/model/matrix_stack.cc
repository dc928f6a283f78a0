#include "model/matrix_stack.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "base/half.h"
#include "quant/block_formats.h"
#include "quant/decode.h"
#include "quant/encode.h"

namespace stonechat {
namespace {

WeightFormat format_of(std::span<const MatrixStack::Part> parts) {
  std::vector<gguf::TensorType> types;
  for (const auto& part : parts) types.push_back(part.tensor->type);
  return common_format(types);
}

// In blocks of a binary16 scale and codes only the scales can be non-finite.
void check_block_scales(const std::string& path, const gguf::TensorInfo& tensor, const std::byte* row) {
  constexpr uint16_t kExponent = 0x7c00;
  const uint32_t block_bytes = info(tensor.type).block_bytes;
  for (uint64_t block = 0; block < tensor.cols() / kBlock; ++block) {
    uint16_t scale;
    std::memcpy(&scale, row + block * block_bytes, sizeof scale);
    if ((scale & kExponent) == kExponent) {
      const float value = half_to_float(scale);
      check_finite(path, tensor, std::span(&value, 1));
    }
  }
}

// Rows with a header hold finite values if the ends of what their codes can mean are.
void check_row_header(const std::string& path, const gguf::TensorInfo& tensor, const std::byte* row) {
  RowHeaderQ8 header;
  std::memcpy(&header, row, sizeof header);
  const float reach = std::fabs(header.mean) + 128 * std::fabs(header.scale);
  check_finite(path, tensor, std::span(&reach, 1));
}

// Fetches rows of one tensor in the format of the stack. One a thread.
class RowSource {
 public:
  RowSource(const std::string& path, const MatrixStack::ReadRows& read, WeightFormat format, uint32_t cols,
            AlignedBuffer& stored)
      : path_(path), read_(read), format_(format), values_(cols), stored_(stored) {}

  // Rows [first, first + count) of the part's tensor, one after another into `destination`.
  void fetch(const MatrixStack::Part& part, uint32_t first, uint32_t count, std::byte* destination) {
    const gguf::TensorInfo& tensor = *part.tensor;
    const uint64_t stored_bytes = tensor.row_bytes();
    const bool as_stored = is_stored_as(tensor.type, format_);
    if (!as_stored) stored_.reserve(stored_bytes * count);
    const auto stored = std::span(as_stored ? destination : stored_.data(), stored_bytes * count);
    if (part.source_row) {
      for (uint32_t i = 0; i < count; ++i) {
        read_(tensor, part.source_row(first + i), 1, stored.subspan(i * stored_bytes, stored_bytes));
      }
    } else {
      read_(tensor, first, count, stored);
    }
    const gguf::TensorType type = tensor_type(format_);
    const uint64_t row_bytes = gguf::row_bytes(type, values_.size());
    for (uint32_t i = 0; i < count; ++i) {
      const std::byte* row = stored.data() + i * stored_bytes;
      if (checked_without_decoding(tensor, row) && as_stored) continue;
      decode(tensor.type, row, values_.size(), values_.data());
      check_finite(path_, tensor, values_);
      if (!as_stored) encode(type, values_.data(), values_.size(), destination + i * row_bytes);
    }
  }

 private:
  bool checked_without_decoding(const gguf::TensorInfo& tensor, const std::byte* row) const {
    if (gguf::has_row_header(tensor.type)) {
      check_row_header(path_, tensor, row);
    } else if (tensor.type == gguf::TensorType::kQ8_0 || tensor.type == gguf::TensorType::kQ4_0) {
      check_block_scales(path_, tensor, row);
    } else {
      return false;
    }
    return true;
  }

  const std::string& path_;
  const MatrixStack::ReadRows& read_;
  WeightFormat format_;
  std::vector<float> values_;
  AlignedBuffer& stored_;
};

}  // namespace

void check_finite(const std::string& path, const gguf::TensorInfo& tensor, std::span<const float> values) {
  for (const float value : values) {
    if (!std::isfinite(value)) {
      fail(ErrorKind::kBadFile, "{}: tensor {}: expected finite values, found {}", path, tensor.name, value);
    }
  }
}

MatrixStack::MatrixStack(std::string path, std::vector<Part> parts, ReadRows read)
    : path_(std::move(path)),
      parts_(std::move(parts)),
      read_(std::move(read)),
      format_(format_of(parts_)),
      cols_(static_cast<uint32_t>(parts_[0].tensor->cols())) {
  for (const Part& part : parts_) rows_ += part.rows;
}

uint64_t MatrixStack::row_bytes() const {
  return gguf::row_bytes(tensor_type(format_), cols_);
}

uint64_t MatrixStack::tiles(const LinearKernels& linear) const {
  return ceil_div(rows_, linear.tile_rows);
}

void MatrixStack::pack_tiles(const LinearKernels& linear, uint64_t first_tile, uint64_t end_tile,
                             std::byte* destination, PackScratch& scratch) const {
  RowSource source(path_, read_, format_, cols_, scratch.stored);
  const uint32_t tile_rows = linear.tile_rows;
  const size_t tile_bytes = linear.tile_bytes(cols_);
  const auto first_row = static_cast<uint32_t>(first_tile * tile_rows);
  const auto end_row = static_cast<uint32_t>(std::min<uint64_t>(rows_, end_tile * tile_rows));
  scratch.rows.reserve((end_row - first_row) * row_bytes());
  std::byte* rows = scratch.rows.data();
  uint32_t part_first = 0;
  for (const Part& part : parts_) {
    const uint32_t part_end = part_first + part.rows;
    const uint32_t begin = std::max(first_row, part_first);
    const uint32_t end = std::min(end_row, part_end);
    if (begin < end) {
      source.fetch(part, part.first_row + begin - part_first, end - begin,
                   rows + (begin - first_row) * row_bytes());
    }
    part_first = part_end;
  }
  for (uint64_t tile = first_tile; tile < end_tile; ++tile) {
    const auto row = static_cast<uint32_t>(tile * tile_rows);
    linear.pack_tile(rows + (row - first_row) * row_bytes(), std::min(tile_rows, rows_ - row), cols_,
                     destination + (tile - first_tile) * tile_bytes);
  }
}

}  // namespace stonechat
