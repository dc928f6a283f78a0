#include "model/packed_matrix.h"

#include <algorithm>
#include <utility>

#include "base/checked.h"

namespace stonechat {

uint64_t PackedMatrix::rows_at_once(const LinearKernels& linear, uint64_t row_bytes) {
  constexpr uint64_t kBytes = 1 << 20;
  return linear.tile_rows * std::max<uint64_t>(1, kBytes / (linear.tile_rows * row_bytes));
}

PackedMatrix::PackedMatrix(const MatrixStack& stack, const KernelTable& kernels, PackArena& arena,
                           ThreadPool& pool)
    : kernels_(&kernels), format_(stack.format()), rows_(stack.rows()), cols_(stack.cols()) {
  const size_t tile_bytes = linear().tile_bytes(cols_);
  const uint64_t tiles = stack.tiles(linear());
  PackArena::Piece pack = arena.take(tiles * tile_bytes);
  const uint64_t tiles_at_once = rows_at_once(linear(), stack.row_bytes()) / linear().tile_rows;
  const std::span<PackScratch> scratch = arena.scratch(pool.threads());
  pool.for_each_chunk(tiles, tiles_at_once, [&](uint64_t first_tile, uint64_t end_tile, uint32_t worker) {
    stack.pack_tiles(linear(), first_tile, end_tile, pack.bytes + first_tile * tile_bytes, scratch[worker]);
  });
  pack_ = std::move(pack.memory);
}

PackedMatrix::PackedMatrix(WeightFormat format, uint32_t rows, uint32_t cols, const KernelTable& kernels,
                           PackMemory pack)
    : kernels_(&kernels), format_(format), rows_(rows), cols_(cols), pack_(std::move(pack)) {}

void PackedMatrix::multiply(const AlignedBuffer& activations, uint32_t tokens, uint32_t token_block,
                            std::span<const float> bias, float* out, size_t out_stride, bool add_to_out,
                            ThreadPool& pool) const {
  // The shortest ranges: so short that threads of unequal speed end together, few enough that handing them
  // out costs nothing. One token's product reads several tiles side by side.
  constexpr uint64_t kRangesPerThread = 64;
  const uint64_t least_tiles = tokens == 1 ? 2 : 1;
  const uint32_t tile_rows = linear().tile_rows;
  const uint64_t tiles = ceil_div(rows_, tile_rows);
  const uint64_t token_blocks = ceil_div(tokens, token_block);
  const uint64_t grain =
      std::max(least_tiles, ceil_div(tiles * token_blocks, pool.threads() * kRangesPerThread));
  // All tiles of the first block, then those of the next. A range may begin in one block and end in another.
  pool.for_each_part(tiles * token_blocks, grain, [&](uint64_t begin, uint64_t end) {
    while (begin < end) {
      const uint64_t first_tile = begin % tiles;
      const uint64_t end_tile = std::min(tiles, first_tile + (end - begin));
      const auto first_token = static_cast<uint32_t>(begin / tiles * token_block);
      begin += end_tile - first_tile;
      const LinearJob job = {
          .weights = pack_.data(),
          .activations = activations.data(),
          .cols = cols_,
          .first_row = static_cast<uint32_t>(first_tile * tile_rows),
          .end_row = static_cast<uint32_t>(std::min<uint64_t>(rows_, end_tile * tile_rows)),
          .first_token = first_token,
          .end_token = std::min(tokens, first_token + token_block),
          .bias = bias.empty() ? nullptr : bias.data(),
          .out = out + first_token * out_stride + first_tile * tile_rows,
          .out_stride = out_stride,
          .add_to_out = add_to_out,
      };
      linear().multiply(&job);
    }
  });
}

}  // namespace stonechat
