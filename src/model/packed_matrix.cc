#include "model/packed_matrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/checked.h"
#include "base/error.h"
#include "base/half.h"
#include "quant/block_formats.h"
#include "quant/decode.h"
#include "quant/encode.h"

namespace stonechat {
namespace {

gguf::TensorType file_type(WeightFormat format) {
  switch (format) {
    case kWeightF32:
      return gguf::TensorType::kF32;
    case kWeightF16:
      return gguf::TensorType::kF16;
    case kWeightBf16:
      return gguf::TensorType::kBF16;
    case kWeightQ8_0:
      break;
  }
  return gguf::TensorType::kQ8_0;
}

WeightFormat common_format(std::span<const PackedMatrix::Part> parts) {
  const WeightFormat first = compute_format(parts[0].tensor->type);
  for (const auto& part : parts) {
    if (compute_format(part.tensor->type) != first) return kWeightF32;
  }
  return first;
}

void check_finite(const gguf::Reader& file, const gguf::TensorInfo& tensor, std::span<const float> values) {
  for (const float value : values) {
    if (!std::isfinite(value)) {
      fail(ErrorKind::kBadFile, "{}: tensor {}: expected finite values, found {}", file.path(), tensor.name,
           value);
    }
  }
}

// Q8_0 rows are used as they are: only the scales can be non-finite.
void check_scales_finite(const gguf::Reader& file, const gguf::TensorInfo& tensor, const std::byte* row) {
  for (uint64_t block = 0; block < tensor.cols() / kBlock; ++block) {
    BlockQ8_0 stored;
    std::memcpy(&stored, row + block * sizeof stored, sizeof stored);
    const float scale = half_to_float(stored.d);
    check_finite(file, tensor, std::span(&scale, 1));
  }
}

// Fetches rows of one tensor in the format of the matrix. One a thread.
class RowSource {
 public:
  RowSource(const gguf::Reader& file, WeightFormat format, uint32_t cols)
      : file_(file), type_(file_type(format)), values_(cols) {}

  // Rows [first, first + count) of the part's tensor, one after another into `destination`.
  void fetch(const PackedMatrix::Part& part, uint32_t first, uint32_t count, std::byte* destination) {
    const gguf::TensorInfo& tensor = *part.tensor;
    const uint64_t stored_bytes = tensor.row_bytes();
    stored_.resize(stored_bytes * count);
    if (part.source_row) {
      for (uint32_t i = 0; i < count; ++i) {
        const auto piece = std::span(stored_).subspan(i * stored_bytes, stored_bytes);
        file_.read_rows(tensor, part.source_row(first + i), 1, piece);
      }
    } else {
      file_.read_rows(tensor, first, count, stored_);
    }
    const uint64_t row_bytes = values_.size() / info(type_).block_elements * info(type_).block_bytes;
    for (uint32_t i = 0; i < count; ++i) {
      const std::byte* row = stored_.data() + i * stored_bytes;
      std::byte* out = destination + i * row_bytes;
      if (tensor.type == gguf::TensorType::kQ8_0) {
        check_scales_finite(file_, tensor, row);
      } else {
        decode(tensor.type, row, values_.size(), values_.data());
        check_finite(file_, tensor, values_);
      }
      if (tensor.type == type_) {
        std::memcpy(out, row, row_bytes);
      } else {
        decode(tensor.type, row, values_.size(), values_.data());
        encode(type_, values_.data(), values_.size(), out);
      }
    }
  }

 private:
  const gguf::Reader& file_;
  gguf::TensorType type_;
  std::vector<float> values_;
  std::vector<std::byte> stored_;
};

}  // namespace

WeightFormat compute_format(gguf::TensorType type) {
  switch (type) {
    case gguf::TensorType::kF32:
      return kWeightF32;
    case gguf::TensorType::kF16:
      return kWeightF16;
    case gguf::TensorType::kBF16:
      return kWeightBf16;
    default:
      return kWeightQ8_0;
  }
}

PackedMatrix::PackedMatrix(const gguf::Reader& file, std::span<const Part> parts, const KernelTable& kernels,
                           ThreadPool& pool)
    : kernels_(&kernels),
      format_(common_format(parts)),
      cols_(static_cast<uint32_t>(parts[0].tensor->cols())) {
  for (const Part& part : parts) rows_ += part.rows;
  const uint32_t tile_rows = linear().tile_rows;
  const size_t tile_bytes = linear().tile_bytes(cols_);
  const gguf::TensorTypeInfo& type = info(file_type(format_));
  const uint64_t row_bytes = uint64_t{cols_} / type.block_elements * type.block_bytes;
  const uint64_t tiles = ceil_div(rows_, tile_rows);
  pack_ = AlignedBuffer(tiles * tile_bytes);

  // About a megabyte is read at once.
  const uint64_t tiles_at_once = std::max<uint64_t>(1, (uint64_t{1} << 20) / (tile_rows * row_bytes));
  pool.for_each_chunk(tiles, tiles_at_once, [&](uint64_t first_tile, uint64_t end_tile) {
    RowSource source(file, format_, cols_);
    const auto first_row = static_cast<uint32_t>(first_tile * tile_rows);
    const auto end_row = static_cast<uint32_t>(std::min<uint64_t>(rows_, end_tile * tile_rows));
    std::vector<std::byte> rows((end_row - first_row) * row_bytes);
    uint32_t part_first = 0;
    for (const Part& part : parts) {
      const uint32_t part_end = part_first + part.rows;
      const uint32_t begin = std::max(first_row, part_first);
      const uint32_t end = std::min(end_row, part_end);
      if (begin < end) {
        source.fetch(part, part.first_row + begin - part_first, end - begin,
                     rows.data() + (begin - first_row) * row_bytes);
      }
      part_first = part_end;
    }
    for (uint64_t tile = first_tile; tile < end_tile; ++tile) {
      const auto row = static_cast<uint32_t>(tile * tile_rows);
      linear().pack_tile(rows.data() + (row - first_row) * row_bytes, std::min(tile_rows, rows_ - row), cols_,
                         pack_.data() + tile * tile_bytes);
    }
  });
}

void PackedMatrix::multiply(const AlignedBuffer& activations, uint32_t tokens, std::span<const float> bias,
                            float* out, size_t out_stride, bool add_to_out, ThreadPool& pool) const {
  // The shortest ranges: so short that threads of unequal speed end together, few enough that handing them
  // out costs nothing.
  constexpr uint64_t kRangesPerThread = 64;
  const uint32_t tile_rows = linear().tile_rows;
  const uint64_t tiles = ceil_div(rows_, tile_rows);
  const uint64_t grain = ceil_div(tiles, pool.threads() * kRangesPerThread);
  pool.for_each_part(tiles, grain, [&](uint64_t first_tile, uint64_t end_tile) {
    const LinearJob job = {
        .weights = pack_.data(),
        .activations = activations.data(),
        .cols = cols_,
        .first_row = static_cast<uint32_t>(first_tile * tile_rows),
        .end_row = static_cast<uint32_t>(std::min<uint64_t>(rows_, end_tile * tile_rows)),
        .first_token = 0,
        .end_token = tokens,
        .bias = bias.empty() ? nullptr : bias.data(),
        .out = out + first_tile * tile_rows,
        .out_stride = out_stride,
        .add_to_out = add_to_out,
    };
    linear().multiply(&job);
  });
}

}  // namespace stonechat
