// A weight matrix in the layout that the running kernels want, and its product with a batch of activations.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "gguf/reader.h"
#include "kernels/kernel_table.h"

namespace stonechat {

class PackedMatrix {
 public:
  // Rows [first_row, first_row + rows) of one tensor of a stack; they may be reordered within heads (see
  // `rows_of_half_pairs` in weights.cc).
  struct Part {
    const gguf::TensorInfo* tensor;
    uint32_t first_row;
    uint32_t rows;
    // Row of the tensor that becomes row `row` of the part; empty: the same.
    std::function<uint32_t(uint32_t row)> source_row;
  };

  PackedMatrix() = default;
  // Reads the parts from `file` and packs them one below the other: (sum of rows, cols). All have the same
  // number of columns, a multiple of 32. Streams a few tiles at a time. Q8_0, F16, BF16 and F32 tensors stay
  // what they are, others are encoded as Q8_0; parts of different formats become F32. Error{kBadFile} on
  // values that aren't finite.
  PackedMatrix(const gguf::Reader& file, std::span<const Part> parts, const KernelTable& kernels,
               ThreadPool& pool);

  uint32_t rows() const { return rows_; }
  uint32_t cols() const { return cols_; }
  WeightFormat format() const { return format_; }
  size_t bytes() const { return pack_.bytes(); }

  // out[token * out_stride + row] = (or +=) weights x activations + bias (length rows, or empty).
  // `activations` were prepared by linear().prepare for at least `tokens` tokens.
  void multiply(const AlignedBuffer& activations, uint32_t tokens, std::span<const float> bias, float* out,
                size_t out_stride, bool add_to_out, ThreadPool& pool) const;

  const std::byte* data() const { return pack_.data(); }

  // The weights of one row, cols of them.
  void unpack_row(uint32_t row, float* out) const { linear().unpack_row(pack_.data(), row, cols_, out); }

  const LinearKernels& linear() const { return *kernels_->linear[format_]; }

 private:
  const KernelTable* kernels_ = nullptr;
  WeightFormat format_ = kWeightF32;
  uint32_t rows_ = 0;
  uint32_t cols_ = 0;
  AlignedBuffer pack_;
};

// The format in which tensors of this type are computed with.
WeightFormat compute_format(gguf::TensorType type);

}  // namespace stonechat
