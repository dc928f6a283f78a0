#include "quant/rewrite.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "quant/decode.h"
#include "quant/encode.h"
#include "quant/schemes.h"
#include "quant/tensor_scale.h"
#include "quant/tensor_stream.h"

namespace stonechat {
namespace {

// Sums of a run of elements; added up in order of the runs, so that threads don't change the result.
struct ErrorSums {
  double squares = 0;
  double squared_differences = 0;
  double largest = 0;
};

// Writes one tensor in its new type, reading it as often as that needs.
class TensorRewriter {
 public:
  // after_piece(bytes read of the tensor) may throw.
  TensorRewriter(const gguf::ModelSource& file, const RewritePlanEntry& entry, double range, ThreadPool& pool,
                 const std::function<void(uint64_t)>& after_piece)
      : file_(file),
        entry_(entry),
        cols_(entry.source->cols()),
        row_bytes_(gguf::row_bytes(entry.type, cols_)),
        stream_(file, *entry.source),
        pool_(pool),
        after_piece_(after_piece),
        scale_(tensor_scale(entry.type, range, stream_, pool,
                            [&](uint64_t rows) { after_piece_(rows * entry_.source->row_bytes()); })) {}

  TensorError write(gguf::Writer& writer) {
    std::vector<std::byte> encoded(std::min(stream_.rows_in_piece(), entry_.source->rows()) * row_bytes_);
    std::vector<ErrorSums> sums(stream_.chunks());
    stream_.for_each_chunk(
        pool_,
        [&](const TensorStream::Chunk& chunk) {
          std::byte* bytes = encoded.data() + chunk.row_in_piece * row_bytes_;
          encode_chunk(chunk, bytes);
          sums[chunk.index] = measure(chunk, bytes);
        },
        [&](uint64_t rows) {
          writer.write_tensor_data(std::span(encoded).first(rows * row_bytes_));
          after_piece_(rows * entry_.source->row_bytes());
        });
    return error_of(sums);
  }

 private:
  void encode_chunk(const TensorStream::Chunk& chunk, std::byte* bytes) const {
    const double limit = largest_value(entry_.type);
    for (const float value : chunk.values) {
      if (std::fabs(value) < limit) continue;
      fail(ErrorKind::kBadFile, "{}: tensor {}: expected values below {} for {}, found {}", file_.path(),
           entry_.source->name, limit, gguf::name(entry_.type), value);
    }
    encode_rows(entry_.type, scale_.scale, chunk.values, cols_, bytes);
  }

  ErrorSums measure(const TensorStream::Chunk& chunk, const std::byte* encoded) const {
    std::vector<float> decoded(chunk.values.size());
    decode_rows(entry_.type, encoded, chunk.rows, cols_, decoded.data());
    ErrorSums sums;
    for (size_t i = 0; i < decoded.size(); ++i) {
      const double difference = double{decoded[i]} - chunk.values[i];
      sums.squares += double{chunk.values[i]} * chunk.values[i];
      sums.squared_differences += difference * difference;
      sums.largest = std::max(sums.largest, std::fabs(difference));
    }
    return sums;
  }

  TensorError error_of(std::span<const ErrorSums> sums) const {
    ErrorSums total;
    for (const ErrorSums& sum : sums) {
      total.squares += sum.squares;
      total.squared_differences += sum.squared_differences;
      total.largest = std::max(total.largest, sum.largest);
    }
    const auto& source = *entry_.source;
    const gguf::TensorSpec spec{entry_.name, entry_.type, source.shape};
    const double relative = total.squares > 0 ? std::sqrt(total.squared_differences / total.squares) : 0;
    return {entry_.name,  source.type, entry_.type,   source.bytes,
            spec.bytes(), relative,    total.largest, scale_.deviations};
  }

  const gguf::ModelSource& file_;
  const RewritePlanEntry& entry_;
  uint64_t cols_;
  uint64_t row_bytes_;
  TensorStream stream_;
  ThreadPool& pool_;
  const std::function<void(uint64_t)>& after_piece_;
  TensorScale scale_;
};

// Bytes that rewriting reads of a tensor.
uint64_t bytes_to_read(const RewritePlanEntry& entry, double range) {
  return entry.source->bytes * (1 + tensor_scale_passes(entry.type, range));
}

}  // namespace

std::vector<gguf::TensorSpec> RewritePlan::specs() const {
  std::vector<gguf::TensorSpec> result;
  for (const auto& tensor : tensors) result.push_back({tensor.name, tensor.type, tensor.source->shape});
  return result;
}

uint64_t RewritePlan::predicted_bytes() const {
  return gguf::Writer::predicted_bytes(metadata, specs());
}

uint64_t RewritePlan::bytes_to_read() const {
  uint64_t total = 0;
  for (const auto& entry : tensors) total += stonechat::bytes_to_read(entry, range);
  return total;
}

uint64_t RewritePlan::tensor_bytes() const {
  uint64_t total = 0;
  for (const auto& spec : specs()) total += spec.bytes();
  return total;
}

uint64_t RewritePlan::parameters() const {
  uint64_t total = 0;
  for (const auto& tensor : tensors) total += tensor.source->elements();
  return total;
}

std::vector<TensorError> rewrite(const gguf::ModelSource& file, const RewritePlan& plan,
                                 const std::string& out, ThreadPool& pool, const ByteProgress& progress,
                                 const std::function<bool()>& should_stop) {
  if (file.reads_from(out)) {
    fail(ErrorKind::kUsage, "{}: the output is the input; expected another file", out);
  }
  const uint64_t total = plan.bytes_to_read();
  gguf::Writer writer(out, plan.metadata, plan.specs());
  std::vector<TensorError> errors;
  uint64_t done = 0;
  const std::function<void(uint64_t)> after_piece = [&](uint64_t bytes) {
    if (should_stop && should_stop()) fail(ErrorKind::kInterrupted, "interrupted");
    done += bytes;
    if (progress) progress(done, total);
  };
  for (const auto& entry : plan.tensors) {
    errors.push_back(TensorRewriter(file, entry, plan.range, pool, after_piece).write(writer));
  }
  writer.finish();
  return errors;
}

uint32_t file_type_number(gguf::TensorType type) {
  switch (type) {
    case gguf::TensorType::kF16:
      return 1;
    case gguf::TensorType::kBF16:
      return 32;
    default:
      return find_scheme(type) != nullptr ? find_scheme(type)->file_type : 0;
  }
}

void check_is_model(const gguf::ModelSource& file) {
  const std::string architecture = file.metadata().get_string("general.architecture");
  if (architecture == gguf::kPackedArchitecture) {
    fail(ErrorKind::kBadFile,
         "{}: general.architecture: expected qwen2 or llama, found a packed file; take the GGUF file that it "
         "was made from",
         file.path());
  }
  if (architecture != "qwen2" && architecture != "llama") {
    fail(ErrorKind::kBadFile, "{}: general.architecture: expected qwen2 or llama, found '{}'", file.path(),
         architecture);
  }
  if (file.tensors().empty())
    fail(ErrorKind::kBadFile, "{}: tensor count: expected a model's tensors, found 0", file.path());
  for (const auto& tensor : file.tensors()) {
    if (tensor.type == gguf::TensorType::kI8)
      fail(ErrorKind::kBadFile, "{}: tensor {}: expected weights, found I8", file.path(), tensor.name);
  }
}

}  // namespace stonechat
