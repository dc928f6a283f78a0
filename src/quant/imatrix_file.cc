#include "quant/imatrix_file.h"

#include "gguf/writer.h"

namespace stonechat {

void write_imatrix(const std::string& path, const ImportanceMatrix& matrix) {
  using gguf::Value;
  gguf::Metadata metadata;
  metadata.set("general.type", Value::of_string("imatrix"));
  const gguf::StringArray datasets(std::vector<std::string>{matrix.dataset});
  metadata.set("imatrix.datasets",
               {gguf::ValueType::kArray, gguf::ValueType::kString, gguf::Array(datasets)});
  metadata.set("imatrix.chunk_count", Value::of_uint32(matrix.chunks));
  metadata.set("imatrix.chunk_size", Value::of_uint32(matrix.chunk_size));
  std::vector<gguf::TensorSpec> specs;
  for (const ImportanceEntry& entry : matrix.entries) {
    specs.push_back({entry.weight + ".in_sum2", gguf::TensorType::kF32, {entry.mean_squares.size(), 1}});
    specs.push_back({entry.weight + ".counts", gguf::TensorType::kF32, {1, 1}});
  }
  gguf::Writer writer(path, metadata, specs);
  const auto tokens = static_cast<float>(uint64_t{matrix.chunks} * matrix.chunk_size);
  for (const ImportanceEntry& entry : matrix.entries) {
    std::vector<float> sums;
    for (const float mean_square : entry.mean_squares) sums.push_back(mean_square * tokens);
    writer.write_tensor_data(std::as_bytes(std::span(sums)));
    writer.write_tensor_data(std::as_bytes(std::span(&tokens, 1)));
  }
  writer.finish();
}

}  // namespace stonechat
