// A weight matrix in the layout that the running kernels want, and its product with a batch of activations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "model/matrix_stack.h"
#include "model/pack_memory.h"

namespace stonechat {

class PackedMatrix {
 public:
  PackedMatrix() = default;
  // Reads and packs a stack, some tiles at a time. Error{kBadFile} on values that aren't finite.
  PackedMatrix(const MatrixStack& stack, const KernelTable& kernels, PackArena& arena, ThreadPool& pool);
  // A pack that is there already: ceil(rows / tile_rows) tiles of this table's layout for the format.
  PackedMatrix(WeightFormat format, uint32_t rows, uint32_t cols, const KernelTable& kernels,
               PackMemory pack);

  // Rows that one thread reads and packs together.
  static uint64_t rows_at_once(const LinearKernels& linear, uint64_t row_bytes);

  uint32_t rows() const { return rows_; }
  uint32_t cols() const { return cols_; }
  WeightFormat format() const { return format_; }
  size_t bytes() const { return pack_.bytes(); }
  std::span<const std::byte> pack() const { return {pack_.data(), pack_.bytes()}; }

  // out[token * out_stride + row] = (or +=) weights x activations + bias (length rows, or empty).
  // `activations` were prepared by linear().prepare for at least `tokens` tokens. Each block of `token_block`
  // tokens, a multiple of linear().tile_tokens, goes through all weights before the next one does.
  void multiply(const AlignedBuffer& activations, uint32_t tokens, uint32_t token_block,
                std::span<const float> bias, float* out, size_t out_stride, bool add_to_out,
                ThreadPool& pool) const;

  // The weights of one row, cols of them.
  void unpack_row(uint32_t row, float* out) const { linear().unpack_row(pack_.data(), row, cols_, out); }

  const LinearKernels& linear() const { return *kernels_->linear[format_]; }

 private:
  const KernelTable* kernels_ = nullptr;
  WeightFormat format_ = kWeightF32;
  uint32_t rows_ = 0;
  uint32_t cols_ = 0;
  PackMemory pack_;
};

}  // namespace stonechat
