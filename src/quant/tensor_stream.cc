#include "quant/tensor_stream.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/checked.h"
#include "base/error.h"
#include "quant/decode.h"

namespace stonechat {
namespace {

constexpr uint64_t kElementsInPiece = 1 << 20;
constexpr uint64_t kElementsInChunk = 1 << 15;

}  // namespace

TensorStream::TensorStream(const gguf::ModelSource& file, const gguf::TensorInfo& tensor)
    : file_(file),
      tensor_(tensor),
      rows_in_chunk_(std::max<uint64_t>(1, kElementsInChunk / tensor.cols())),
      rows_in_piece_(std::max<uint64_t>(1, kElementsInPiece / tensor.cols() / rows_in_chunk_) *
                     rows_in_chunk_) {}

uint64_t TensorStream::chunks() const {
  return ceil_div(tensor_.rows(), rows_in_chunk_);
}

void TensorStream::for_each_chunk(ThreadPool& pool, FunctionRef<void(const Chunk&)> visit,
                                  FunctionRef<void(uint64_t rows)> after_piece) const {
  const uint64_t cols = tensor_.cols();
  const uint64_t row_bytes = tensor_.row_bytes();
  std::vector<std::byte> stored;
  for (uint64_t first = 0; first < tensor_.rows(); first += rows_in_piece_) {
    const uint64_t rows = std::min(rows_in_piece_, tensor_.rows() - first);
    stored.resize(rows * row_bytes);
    file_.read_rows(tensor_, first, rows, stored);
    pool.for_each_chunk(rows, rows_in_chunk_, [&](uint64_t begin, uint64_t end) {
      std::vector<float> values((end - begin) * cols);
      decode_rows(tensor_.type, stored.data() + begin * row_bytes, end - begin, cols, values.data());
      for (const float value : values) {
        if (std::isfinite(value)) continue;
        fail(ErrorKind::kBadFile, "{}: tensor {}: expected finite values, found {}", file_.path(),
             tensor_.name, value);
      }
      visit({(first + begin) / rows_in_chunk_, begin, end - begin, values});
    });
    after_piece(rows);
  }
}

}  // namespace stonechat
