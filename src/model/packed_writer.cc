// Writes packed files. See model/packed_file.h.
#include <algorithm>
#include <map>
#include <optional>

#include "base/checked.h"
#include "base/error.h"
#include "gguf/writer.h"
#include "model/packed_file.h"
#include "model/packed_keys.h"
#include "model/tensor_counts.h"

namespace stonechat {
namespace {

constexpr uint64_t kBytesAtOnce = 8 << 20;

gguf::Value of_uint64(uint64_t value) {
  return {gguf::ValueType::kUint64, gguf::ValueType::kUint32, static_cast<int64_t>(value)};
}

std::vector<std::string> format_names(std::span<const WeightFormat> formats) {
  std::vector<std::string> names;
  for (const WeightFormat format : formats) names.emplace_back(gguf::name(tensor_type(format)));
  return names;
}

gguf::Metadata packed_metadata(const gguf::Reader& file, const ModelConfig& config,
                               const KernelTable& kernels, std::span<const StackPlan> plans,
                               std::span<const WeightFormat> formats) {
  using gguf::Value;
  const TensorCounts counts = count_tensors(file);
  gguf::Metadata metadata = file.metadata();
  const auto set = [&](std::string_view key, Value value) {
    metadata.set(std::string(key), std::move(value));
  };
  set("general.architecture", Value::of_string(std::string(gguf::kPackedArchitecture)));
  set("general.alignment", Value::of_uint32(kPackAlignment));
  set(kPackVersionKey, Value::of_uint32(kPackVersion));
  set(kPackByteOrderKey, Value::of_string(std::string(kPackByteOrder)));
  set(kPackIsaKey, Value::of_string(kernels.name));
  set(kPackFingerprintKey, Value::of_string(layout_fingerprint(plans, formats, config.head_dim, kernels)));
  set(kPackArchitectureKey, Value::of_string(config.architecture));
  set(kPackVocabularyKey, Value::of_uint32(config.vocabulary));
  set(kPackParametersKey, of_uint64(counts.parameters));
  set(kPackSourceTypeKey, Value::of_string(counts.main_type));
  set(kPackSourceBytesKey, of_uint64(counts.bytes));
  set(kPackFormatsKey,
      {gguf::ValueType::kArray, gguf::ValueType::kString, gguf::Array(format_names(formats))});
  return metadata;
}

struct NamedVector {
  std::string tensor;
  std::vector<float> values;
};

std::vector<NamedVector> read_vectors(TensorShelf& shelf, const ModelConfig& config) {
  std::vector<NamedVector> vectors;
  for (const VectorPlan& plan : all_vector_plans(config)) {
    std::vector<float> values = shelf.vector(plan);
    if (!values.empty()) vectors.push_back({plan.tensor, std::move(values)});
  }
  return vectors;
}

}  // namespace

uint64_t write_packed(const gguf::Reader& file, const KernelTable& kernels, const std::string& out,
                      ThreadPool& pool, const PackProgress& progress,
                      const std::function<bool()>& should_stop) {
  if (file.file().is_same_file_as(out)) {
    fail(ErrorKind::kUsage, "{}: the output is the input; expected another file", out);
  }
  if (is_packed(file.metadata())) {
    fail(ErrorKind::kUsage, "{}: is packed already; take the GGUF file that it was made from", file.path());
  }
  const ModelConfig config = ModelConfig::from(file);
  TensorShelf shelf(file);
  const std::vector<StackPlan> plans = all_stack_plans(config, shelf.has("output.weight"));
  std::vector<MatrixStack> stacks;
  std::vector<WeightFormat> formats;
  for (const StackPlan& plan : plans) {
    stacks.push_back(shelf.stack(plan, config.head_dim));
    formats.push_back(stacks.back().format());
  }
  const std::vector<NamedVector> vectors = read_vectors(shelf, config);
  shelf.check_all_taken();

  std::vector<gguf::TensorSpec> specs;
  for (const NamedVector& vector : vectors)
    specs.push_back({vector.tensor, gguf::TensorType::kF32, {vector.values.size()}});
  uint64_t total = 0;
  for (size_t i = 0; i < plans.size(); ++i) {
    const LinearKernels& linear = *kernels.linear[formats[i]];
    specs.push_back(
        {plans[i].name, gguf::TensorType::kI8, {linear.tile_bytes(plans[i].cols), stacks[i].tiles(linear)}});
    total += specs.back().bytes();
  }
  const gguf::Metadata metadata = packed_metadata(file, config, kernels, plans, formats);
  gguf::Writer writer(out, metadata, specs);
  for (const NamedVector& vector : vectors) writer.write_tensor_data(std::as_bytes(std::span(vector.values)));

  std::vector<PackScratch> scratch(pool.threads());
  uint64_t done = 0;
  for (size_t i = 0; i < plans.size(); ++i) {
    const LinearKernels& linear = *kernels.linear[formats[i]];
    const uint64_t tile_bytes = linear.tile_bytes(plans[i].cols);
    const uint64_t tiles = stacks[i].tiles(linear);
    const uint64_t tiles_at_once = std::max<uint64_t>(1, kBytesAtOnce / tile_bytes);
    const uint64_t tiles_per_chunk = ceil_div(tiles_at_once, 4 * uint64_t{pool.threads()});
    AlignedBuffer packed(std::min(tiles, tiles_at_once) * tile_bytes, MemoryPart::kPacking);
    for (uint64_t first = 0; first < tiles; first += tiles_at_once) {
      if (should_stop && should_stop()) fail(ErrorKind::kInterrupted, "interrupted");
      const uint64_t count = std::min(tiles_at_once, tiles - first);
      pool.for_each_chunk(count, tiles_per_chunk, [&](uint64_t begin, uint64_t end, uint32_t worker) {
        stacks[i].pack_tiles(linear, first + begin, first + end, packed.data() + begin * tile_bytes,
                             scratch[worker]);
      });
      writer.write_tensor_data(std::span(packed.data(), count * tile_bytes));
      done += count * tile_bytes;
      if (progress) progress(done, total);
    }
  }
  writer.finish();
  return gguf::Writer::predicted_bytes(metadata, specs);
}

}  // namespace stonechat
