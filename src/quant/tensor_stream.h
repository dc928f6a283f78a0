// The values of a stored tensor in fixed chunks, several at a time, a few megabytes in memory.
//
// What a chunk is depends on the tensor's shape alone: who keeps a result for each chunk and adds these up in
// order gets the same sum with any number of threads.
#pragma once

#include <cstdint>
#include <span>

#include "base/function_ref.h"
#include "base/thread_pool.h"
#include "gguf/reader.h"

namespace stonechat {

class TensorStream {
 public:
  TensorStream(const gguf::ModelSource& file, const gguf::TensorInfo& tensor);

  struct Chunk {
    uint64_t index;         // 0 .. chunks() - 1
    uint64_t row_in_piece;  // first row, counted from the start of the piece
    uint64_t rows;
    std::span<const float> values;  // (rows, cols)
  };
  uint64_t chunks() const;
  uint64_t rows_in_piece() const { return rows_in_piece_; }  // most rows that after_piece() is told of

  // Reads the tensor piece by piece; calls visit() once for each chunk of a piece, on any thread, then
  // after_piece(rows) on this one. Both may throw. Error{kBadFile} on values that aren't finite.
  void for_each_chunk(ThreadPool& pool, FunctionRef<void(const Chunk&)> visit,
                      FunctionRef<void(uint64_t rows)> after_piece) const;

 private:
  const gguf::ModelSource& file_;
  const gguf::TensorInfo& tensor_;
  uint64_t rows_in_chunk_;
  uint64_t rows_in_piece_;
};

}  // namespace stonechat
