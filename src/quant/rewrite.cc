#include "quant/rewrite.h"

#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "base/error.h"
#include "quant/decode.h"
#include "quant/encode.h"

namespace stonechat {
namespace {

constexpr uint64_t kElementsAtOnce = 1 << 20;
constexpr uint64_t kElementsPerChunk = 1 << 15;

// The largest magnitude that a type holds (after rounding).
double largest_value(gguf::TensorType type) {
  constexpr double kHalfLimit = 65520;  // this and more round to infinity
  if (type == gguf::TensorType::kF16) return kHalfLimit;
  if (type == gguf::TensorType::kQ8_0) return kHalfLimit * 127;
  return INFINITY;
}

// Sums of a run of elements; added up in order of the runs, so that threads don't change the result.
struct ErrorSums {
  double squares = 0;
  double squared_differences = 0;
  double largest = 0;
};

class TensorRewriter {
 public:
  TensorRewriter(const gguf::Reader& file, const RewritePlanEntry& entry) : file_(file), entry_(entry) {}

  // Reads rows, encodes them; the bytes are valid until the next call.
  std::span<const std::byte> rewrite_rows(uint64_t first_row, uint64_t rows, ThreadPool& pool) {
    const gguf::TensorInfo& source = *entry_.source;
    const uint64_t cols = source.cols();
    const gguf::TensorTypeInfo& to = info(entry_.type);
    const uint64_t new_row_bytes = cols / to.block_elements * to.block_bytes;
    stored_.resize(rows * source.row_bytes());
    encoded_.resize(rows * new_row_bytes);
    file_.read_rows(source, first_row, rows, stored_);
    const uint64_t rows_per_chunk = std::max<uint64_t>(1, kElementsPerChunk / cols);
    std::vector<ErrorSums> sums(ceil_div(rows, rows_per_chunk));
    pool.for_each_chunk(rows, rows_per_chunk, [&](uint64_t begin, uint64_t end) {
      std::vector<float> values((end - begin) * cols);
      decode(source.type, stored_.data() + begin * source.row_bytes(), values.size(), values.data());
      check(values);
      std::byte* encoded = encoded_.data() + begin * new_row_bytes;
      encode(entry_.type, values.data(), values.size(), encoded);
      // One thread takes all rows as one chunk; the sums are kept by the small ones.
      for (uint64_t row = begin; row < end; row += rows_per_chunk) {
        const uint64_t count = std::min(rows_per_chunk, end - row);
        const auto part = std::span(values).subspan((row - begin) * cols, count * cols);
        sums[row / rows_per_chunk] = measure(part, encoded + (row - begin) * new_row_bytes);
      }
    });
    for (const ErrorSums& sum : sums) {
      total_.squares += sum.squares;
      total_.squared_differences += sum.squared_differences;
      total_.largest = std::max(total_.largest, sum.largest);
    }
    return encoded_;
  }

  TensorError error() const {
    const auto& source = *entry_.source;
    const gguf::TensorSpec spec{entry_.name, entry_.type, source.shape};
    const double relative = total_.squares > 0 ? std::sqrt(total_.squared_differences / total_.squares) : 0;
    return {entry_.name, source.type, entry_.type, source.bytes, spec.bytes(), relative, total_.largest};
  }

 private:
  void check(std::span<const float> values) const {
    const double limit = largest_value(entry_.type);
    for (const float value : values) {
      if (!std::isfinite(value)) {
        fail(ErrorKind::kBadFile, "{}: tensor {}: expected finite values, found {}", file_.path(),
             entry_.source->name, value);
      }
      if (std::fabs(value) >= limit) {
        fail(ErrorKind::kBadFile, "{}: tensor {}: expected values below {} for {}, found {}", file_.path(),
             entry_.source->name, limit, gguf::name(entry_.type), value);
      }
    }
  }

  ErrorSums measure(std::span<const float> values, const std::byte* encoded) const {
    std::vector<float> decoded(values.size());
    decode(entry_.type, encoded, values.size(), decoded.data());
    ErrorSums sums;
    for (size_t i = 0; i < values.size(); ++i) {
      const double difference = double{decoded[i]} - values[i];
      sums.squares += double{values[i]} * values[i];
      sums.squared_differences += difference * difference;
      sums.largest = std::max(sums.largest, std::fabs(difference));
    }
    return sums;
  }

  const gguf::Reader& file_;
  const RewritePlanEntry& entry_;
  std::vector<std::byte> stored_;
  std::vector<std::byte> encoded_;
  ErrorSums total_;
};

}  // namespace

std::vector<gguf::TensorSpec> RewritePlan::specs() const {
  std::vector<gguf::TensorSpec> result;
  for (const auto& tensor : tensors) result.push_back({tensor.name, tensor.type, tensor.source->shape});
  return result;
}

uint64_t RewritePlan::predicted_bytes() const {
  return gguf::Writer::predicted_bytes(metadata, specs());
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

std::vector<TensorError> rewrite(const gguf::Reader& file, const RewritePlan& plan, const std::string& out,
                                 ThreadPool& pool, const ByteProgress& progress,
                                 const std::function<bool()>& should_stop) {
  if (file.file().is_same_file_as(out)) {
    fail(ErrorKind::kUsage, "{}: the output is the input; expected another file", out);
  }
  uint64_t total = 0;
  for (const auto& tensor : plan.tensors) total += tensor.source->bytes;
  gguf::Writer writer(out, plan.metadata, plan.specs());
  std::vector<TensorError> errors;
  uint64_t done = 0;
  for (const auto& entry : plan.tensors) {
    TensorRewriter rewriter(file, entry);
    const gguf::TensorInfo& source = *entry.source;
    const uint64_t rows_at_once = std::max<uint64_t>(1, kElementsAtOnce / source.cols());
    for (uint64_t row = 0; row < source.rows(); row += rows_at_once) {
      if (should_stop && should_stop()) fail(ErrorKind::kInterrupted, "interrupted");
      const uint64_t rows = std::min(rows_at_once, source.rows() - row);
      writer.write_tensor_data(rewriter.rewrite_rows(row, rows, pool));
      done += rows * source.row_bytes();
      if (progress) progress(done, total);
    }
    errors.push_back(rewriter.error());
  }
  writer.finish();
  return errors;
}

uint32_t file_type_number(gguf::TensorType type) {
  switch (type) {
    case gguf::TensorType::kF16:
      return 1;
    case gguf::TensorType::kQ8_0:
      return 7;
    case gguf::TensorType::kBF16:
      return 32;
    default:
      return 0;
  }
}

void check_is_model(const gguf::Reader& file) {
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
