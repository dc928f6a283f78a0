// The importance matrix that llama.cpp's quantizer reads: for each weight matrix the sum over tokens of the
// square of each input channel.
//
// Source: the GGUF variant that llama-imatrix writes since July 2025: general.type "imatrix", the keys
// imatrix.datasets, imatrix.chunk_count, imatrix.chunk_size, and for a weight NAME the FP32 tensors
// NAME.in_sum2 of (1, columns) and NAME.counts of (1, 1), the number of tokens. Both are sums, so files can
// be merged.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace stonechat {

struct ImportanceEntry {
  std::string weight;               // "blk.0.attn_q.weight"
  std::vector<float> mean_squares;  // of its input, by column
};

struct ImportanceMatrix {
  std::string dataset;
  uint32_t chunks = 0;
  uint32_t chunk_size = 0;
  std::vector<ImportanceEntry> entries;
};

// Error{kIo}.
void write_imatrix(const std::string& path, const ImportanceMatrix& matrix);

}  // namespace stonechat
