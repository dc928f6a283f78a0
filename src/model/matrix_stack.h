// Tensors of a file below each other, packed a few tiles at a time.
//
// What becomes of types without kernels, and of parts of different types, is said in weight_formats.h. Thread
// safety: pack_tiles() for disjoint tiles, with a scratch for each, may run at once where `read` allows it.
// Errors: Error{kBadFile} naming file and tensor on values that aren't finite.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "gguf/reader.h"
#include "kernels/kernel_table.h"
#include "model/pack_memory.h"
#include "model/weight_formats.h"

namespace stonechat {

// Error{kBadFile} where one of a tensor's values isn't finite.
void check_finite(const std::string& path, const gguf::TensorInfo& tensor, std::span<const float> values);

class MatrixStack {
 public:
  // Rows [first_row, first_row + rows) of one tensor; they may be reordered (see tensor_plan.h).
  struct Part {
    const gguf::TensorInfo* tensor;
    uint32_t first_row;
    uint32_t rows;
    // Row of the tensor that takes the place of its row `row`; empty: the same.
    std::function<uint32_t(uint32_t row)> source_row;
  };
  // Reads rows [first, first + rows) of a tensor as stored.
  using ReadRows = std::function<void(const gguf::TensorInfo& tensor, uint64_t first, uint64_t rows,
                                      std::span<std::byte> destination)>;

  // All parts have the same number of columns, a multiple of 32. `path` is for errors.
  MatrixStack(std::string path, std::vector<Part> parts, ReadRows read);

  uint32_t rows() const { return rows_; }
  uint32_t cols() const { return cols_; }
  WeightFormat format() const { return format_; }
  // Bytes of a row in format().
  uint64_t row_bytes() const;

  uint64_t tiles(const LinearKernels& linear) const;
  // Tiles [first_tile, end_tile) of the pack, one after another into `destination`, aligned to 64 bytes.
  void pack_tiles(const LinearKernels& linear, uint64_t first_tile, uint64_t end_tile, std::byte* destination,
                  PackScratch& scratch) const;

 private:
  std::string path_;
  std::vector<Part> parts_;
  ReadRows read_;
  WeightFormat format_;
  uint32_t rows_ = 0;
  uint32_t cols_;
};

}  // namespace stonechat
