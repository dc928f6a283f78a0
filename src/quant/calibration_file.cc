#include "quant/calibration_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <set>

#include "base/error.h"
#include "gguf/writer.h"

namespace stonechat {
namespace {

constexpr const char* kPrefix = "stonechat.calibration.";
constexpr uint64_t kChannelRows = 4;  // minimum, maximum, mean, mean square
constexpr uint64_t kSummaryCols = 7;  // the fields of ActivationSummary
constexpr uint64_t kMomentCols = 5;   // minimum, maximum, mean, deviation, kurtosis
constexpr const char* kMoments = "weights.moments";
constexpr const char* kErrors = "weights.errors";

std::string key(const char* name) {
  return std::string(kPrefix) + name;
}

struct ShapeField {
  const char* name;
  uint32_t TapShape::*value;
  uint32_t most;
};
// Products of these stay far below 2^32.
constexpr ShapeField kShapeFields[] = {
    {"layers", &TapShape::layers, 1024},
    {"width", &TapShape::width, 1U << 20},
    {"heads", &TapShape::heads, 1024},
    {"kv_heads", &TapShape::kv_heads, 1024},
    {"head_dim", &TapShape::head_dim, 1024},
    {"mlp_width", &TapShape::mlp_width, 1U << 20},
    {"vocabulary", &TapShape::vocabulary, 1U << 24},
};

std::string bias_name(uint32_t layer) {
  return fmt::format("blk.{}.attn_k.bias", layer);
}

// The tensors of a file, in order.
std::vector<gguf::TensorSpec> specs_of(const TapShape& shape, bool key_biases, uint64_t weights,
                                       uint64_t schemes) {
  std::vector<gguf::TensorSpec> specs;
  const auto add = [&](std::string name, std::vector<uint64_t> dimensions) {
    specs.push_back({std::move(name), gguf::TensorType::kF32, std::move(dimensions)});
  };
  for (const TapPlace& place : all_taps(shape.layers)) {
    add(place.name() + ".channels", {shape.channels(place.tap), kChannelRows});
    add(place.name() + ".summary", {kSummaryCols, uint64_t{1} + shape.own_heads(place.tap)});
  }
  if (key_biases) {
    for (uint32_t layer = 0; layer < shape.layers; ++layer)
      add(bias_name(layer), {uint64_t{shape.kv_heads} * shape.head_dim});
  }
  add(kMoments, {kMomentCols, weights});
  add(kErrors, {schemes, weights});
  return specs;
}

gguf::Value strings(const std::vector<std::string>& texts) {
  return {gguf::ValueType::kArray, gguf::ValueType::kString, gguf::Array(gguf::StringArray(texts))};
}

gguf::Value numbers(std::vector<int64_t> values) {
  return {gguf::ValueType::kArray, gguf::ValueType::kUint64, gguf::Array(std::move(values))};
}

gguf::Metadata metadata_of(const CalibrationStats& stats) {
  using gguf::Value;
  gguf::Metadata metadata;
  metadata.set("general.architecture", Value::of_string(std::string(kCalibrationArchitecture)));
  metadata.set("general.type", Value::of_string("calibration"));
  metadata.set(key("version"), Value::of_uint32(kCalibrationVersion));
  metadata.set(key("model"), Value::of_string(stats.model));
  metadata.set(key("architecture"), Value::of_string(stats.architecture));
  metadata.set(key("file_type"), Value::of_string(stats.file_type));
  for (const ShapeField& field : kShapeFields)
    metadata.set(key(field.name), Value::of_uint32(stats.shape.*field.value));
  metadata.set(key("key_biases"), Value::of_bool(!stats.key_biases.empty()));
  metadata.set(key("text"), Value::of_string(stats.text));
  metadata.set(key("text_sha256"), Value::of_string(stats.text_sha256));
  metadata.set(key("chunks"), Value::of_uint32(stats.chunks));
  metadata.set(key("chunk_size"), Value::of_uint32(stats.chunk_size));
  metadata.set(key("schemes"), strings(stats.schemes));
  std::vector<std::string> names;
  std::vector<int64_t> rows;
  std::vector<int64_t> cols;
  for (const WeightStats& weight : stats.weights) {
    names.push_back(weight.name);
    rows.push_back(static_cast<int64_t>(weight.rows));
    cols.push_back(static_cast<int64_t>(weight.cols));
  }
  metadata.set(key("weights"), strings(names));
  metadata.set(key("weight_rows"), numbers(std::move(rows)));
  metadata.set(key("weight_cols"), numbers(std::move(cols)));
  return metadata;
}

void append(std::vector<float>& values, const ActivationSummary& summary) {
  for (const float value : {summary.minimum, summary.maximum, summary.mean, summary.deviation, summary.p99,
                            summary.p99_9, summary.p99_99}) {
    values.push_back(value);
  }
}

void append(std::vector<float>& values, const std::vector<float>& more) {
  values.insert(values.end(), more.begin(), more.end());
}

// Means come from sums in double and are stored as floats: one may be beyond an end by a rounding error.
bool is_range(float minimum, float mean, float maximum) {
  const float rounding = 1e-5F * std::max(std::fabs(minimum), std::fabs(maximum));
  return minimum <= maximum && minimum - rounding <= mean && mean <= maximum + rounding;
}

// Reads a file whose metadata was checked.
class Contents {
 public:
  explicit Contents(const gguf::Reader& file) : file_(file) {}

  // The values of a tensor that must have this shape, all finite.
  std::vector<float> values(const gguf::TensorSpec& spec) const {
    const gguf::TensorInfo* tensor = file_.find_tensor(spec.name);
    if (tensor == nullptr) fail(ErrorKind::kBadFile, "{}: tensor {} is missing", file_.path(), spec.name);
    if (tensor->type != gguf::TensorType::kF32) {
      fail(ErrorKind::kBadFile, "{}: tensor {}: expected F32, found {}", file_.path(), spec.name,
           gguf::name(tensor->type));
    }
    if (tensor->shape != spec.shape) {
      fail(ErrorKind::kBadFile, "{}: tensor {}: expected shape {}, found {}", file_.path(), spec.name,
           gguf::shape_text(spec.shape), gguf::shape_text(tensor->shape));
    }
    std::vector<float> result(tensor->elements());
    file_.read_rows(*tensor, 0, tensor->rows(), std::as_writable_bytes(std::span(result)));
    for (const float value : result) {
      if (!std::isfinite(value)) {
        fail(ErrorKind::kBadFile, "{}: tensor {}: expected finite values, found {}", file_.path(), spec.name,
             value);
      }
    }
    return result;
  }

  // Seven values.
  ActivationSummary summary(const float* values, const std::string& tensor) const {
    const ActivationSummary summary = {values[0], values[1], values[2], values[3],
                                       values[4], values[5], values[6]};
    check_range(summary.minimum, summary.mean, summary.maximum, tensor);
    check_not_negative(summary.deviation, tensor);
    const float largest = std::max(std::fabs(summary.minimum), std::fabs(summary.maximum));
    if (summary.p99 < 0 || summary.p99_9 < summary.p99 || summary.p99_99 < summary.p99_9 ||
        largest < summary.p99_99) {
      fail(ErrorKind::kBadFile,
           "{}: tensor {}: expected percentiles from 0 up to the largest magnitude, {}, found {}, {}, {}",
           file_.path(), tensor, largest, summary.p99, summary.p99_9, summary.p99_99);
    }
    return summary;
  }

  void check_not_negative(float value, const std::string& tensor) const {
    if (value >= 0) return;
    fail(ErrorKind::kBadFile, "{}: tensor {}: expected deviations and mean squares of 0 or more, found {}",
         file_.path(), tensor, value);
  }

  void check_range(float minimum, float mean, float maximum, const std::string& tensor) const {
    if (is_range(minimum, mean, maximum)) return;
    fail(ErrorKind::kBadFile, "{}: tensor {}: expected minimum <= mean <= maximum, found {}, {}, {}",
         file_.path(), tensor, minimum, mean, maximum);
  }

 private:
  const gguf::Reader& file_;
};

uint32_t number_of(const gguf::Metadata& metadata, const std::string& name, uint64_t most) {
  const uint64_t value = metadata.get_uint(name);
  if (value < 1 || value > most) {
    fail(ErrorKind::kBadFile, "{}: {}: expected 1 to {}, found {}", metadata.file(), name, most, value);
  }
  return static_cast<uint32_t>(value);
}

// Names that can be shown and put into a page as they are.
std::vector<std::string> names_of(const gguf::Metadata& metadata, const std::string& name) {
  constexpr size_t kMostNames = 100'000;
  constexpr size_t kMostBytes = 128;
  const gguf::StringArray& texts = metadata.get_strings(name);
  if (texts.size() > kMostNames) {
    fail(ErrorKind::kBadFile, "{}: {}: expected at most {} names, found {}", metadata.file(), name,
         kMostNames, texts.size());
  }
  std::set<std::string_view> seen;
  std::vector<std::string> result;
  for (const std::string_view text : texts) {
    const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
             c == '_' || c == '-';
    });
    if (text.empty() || text.size() > kMostBytes || !plain) {
      fail(ErrorKind::kBadFile, "{}: {}: expected names of 1 to {} letters, digits and . _ -, found '{}'",
           metadata.file(), name, kMostBytes, text.substr(0, kMostBytes));
    }
    if (!seen.insert(text).second) {
      fail(ErrorKind::kBadFile, "{}: {}: expected each name once, found {} twice", metadata.file(), name,
           text);
    }
    result.emplace_back(text);
  }
  return result;
}

std::vector<uint64_t> sizes_of(const gguf::Metadata& metadata, const std::string& name, size_t count) {
  const std::span<const int64_t> values = metadata.get_ints(name);
  if (values.size() != count) {
    fail(ErrorKind::kBadFile, "{}: {}: expected one number for each of the {} weights, found {}",
         metadata.file(), name, count, values.size());
  }
  std::vector<uint64_t> result;
  for (const int64_t value : values) {
    if (value < 1)
      fail(ErrorKind::kBadFile, "{}: {}: expected 1 or more, found {}", metadata.file(), name, value);
    result.push_back(static_cast<uint64_t>(value));
  }
  return result;
}

void read_metadata(const gguf::Metadata& metadata, CalibrationStats& stats) {
  if (const std::string& found = metadata.get_string("general.architecture");
      found != kCalibrationArchitecture) {
    fail(ErrorKind::kBadFile, "{}: general.architecture: expected {}, found '{}'", metadata.file(),
         kCalibrationArchitecture, found);
  }
  if (const uint64_t version = metadata.get_uint(key("version")); version != kCalibrationVersion) {
    fail(ErrorKind::kBadFile, "{}: {}: expected {}, found {}", metadata.file(), key("version"),
         kCalibrationVersion, version);
  }
  stats.model = metadata.get_string(key("model"));
  stats.architecture = metadata.get_string(key("architecture"));
  stats.file_type = metadata.get_string(key("file_type"));
  for (const ShapeField& field : kShapeFields)
    stats.shape.*field.value = number_of(metadata, key(field.name), field.most);
  stats.text = metadata.get_string(key("text"));
  stats.text_sha256 = metadata.get_string(key("text_sha256"));
  stats.chunks = number_of(metadata, key("chunks"), UINT32_MAX);
  stats.chunk_size = number_of(metadata, key("chunk_size"), UINT32_MAX);
  stats.schemes = names_of(metadata, key("schemes"));
  const std::vector<std::string> names = names_of(metadata, key("weights"));
  const std::vector<uint64_t> rows = sizes_of(metadata, key("weight_rows"), names.size());
  const std::vector<uint64_t> cols = sizes_of(metadata, key("weight_cols"), names.size());
  for (size_t i = 0; i < names.size(); ++i)
    stats.weights.push_back({.name = names[i], .rows = rows[i], .cols = cols[i]});
}

TapStats read_tap(const Contents& contents, const TapPlace& place, const gguf::TensorSpec& channels_spec,
                  const gguf::TensorSpec& summary_spec) {
  TapStats tap{.place = place};
  const std::vector<float> channels = contents.values(channels_spec);
  const auto count = static_cast<std::ptrdiff_t>(channels_spec.shape[0]);
  std::vector<float>* parts[] = {&tap.minima, &tap.maxima, &tap.means, &tap.mean_squares};
  for (size_t i = 0; i < std::size(parts); ++i) {
    const auto begin = channels.begin() + static_cast<std::ptrdiff_t>(i) * count;
    parts[i]->assign(begin, begin + count);
  }
  for (size_t i = 0; i < tap.minima.size(); ++i)
    contents.check_range(tap.minima[i], tap.means[i], tap.maxima[i], channels_spec.name);
  for (const float mean_square : tap.mean_squares)
    contents.check_not_negative(mean_square, channels_spec.name);
  const std::vector<float> summaries = contents.values(summary_spec);
  tap.summary = contents.summary(summaries.data(), summary_spec.name);
  for (uint64_t head = 1; head < summary_spec.shape[1]; ++head)
    tap.heads.push_back(contents.summary(summaries.data() + head * kSummaryCols, summary_spec.name));
  return tap;
}

void read_weights(const gguf::Reader& file, const std::vector<float>& moments,
                  const std::vector<float>& errors, CalibrationStats& stats) {
  for (size_t i = 0; i < stats.weights.size(); ++i) {
    WeightStats& weight = stats.weights[i];
    const float* row = moments.data() + i * kMomentCols;
    weight.moments = {row[0], row[1], row[2], row[3]};
    weight.kurtosis = row[4];
    if (!is_range(row[0], row[2], row[1]) || row[3] < 0 || row[4] < 0) {
      fail(ErrorKind::kBadFile,
           "{}: tensor {}: expected minimum <= mean <= maximum, deviation and kurtosis of 0 or more for {}, "
           "found {}, {}, {}, {}, {}",
           file.path(), kMoments, weight.name, row[0], row[2], row[1], row[3], row[4]);
    }
    for (size_t scheme = 0; scheme < stats.schemes.size(); ++scheme) {
      const float error = errors[i * stats.schemes.size() + scheme];
      if (error < 0 && error != -1) {
        fail(ErrorKind::kBadFile, "{}: tensor {}: expected 0 or more, or -1, for {}, found {}", file.path(),
             kErrors, weight.name, error);
      }
      weight.errors.push_back(error);
    }
  }
}

}  // namespace

float TapStats::largest(size_t channel) const {
  return std::max(std::fabs(minima[channel]), std::fabs(maxima[channel]));
}

float TapStats::largest() const {
  return std::max(std::fabs(summary.minimum), std::fabs(summary.maximum));
}

float TapStats::median_channel() const {
  std::vector<float> magnitudes;
  for (size_t i = 0; i < minima.size(); ++i) magnitudes.push_back(largest(i));
  const auto middle = magnitudes.begin() + static_cast<std::ptrdiff_t>((magnitudes.size() - 1) / 2);
  std::nth_element(magnitudes.begin(), middle, magnitudes.end());
  return *middle;
}

std::vector<uint32_t> TapStats::outliers() const {
  const double limit = kOutlierRatio * double{median_channel()};
  std::vector<uint32_t> result;
  for (uint32_t i = 0; i < minima.size(); ++i) {
    if (largest(i) > limit) result.push_back(i);
  }
  std::stable_sort(result.begin(), result.end(),
                   [&](uint32_t a, uint32_t b) { return largest(a) > largest(b); });
  return result;
}

void write_calibration(const std::string& path, const CalibrationStats& stats) {
  const auto specs =
      specs_of(stats.shape, !stats.key_biases.empty(), stats.weights.size(), stats.schemes.size());
  gguf::Writer writer(path, metadata_of(stats), specs);
  const auto write = [&](const std::vector<float>& values) {
    writer.write_tensor_data(std::as_bytes(std::span(values)));
  };
  for (const TapStats& tap : stats.taps) {
    std::vector<float> channels;
    for (const auto* part : {&tap.minima, &tap.maxima, &tap.means, &tap.mean_squares})
      append(channels, *part);
    write(channels);
    std::vector<float> summaries;
    append(summaries, tap.summary);
    for (const ActivationSummary& head : tap.heads) append(summaries, head);
    write(summaries);
  }
  for (const auto& bias : stats.key_biases) write(bias);
  std::vector<float> moments;
  std::vector<float> errors;
  for (const WeightStats& weight : stats.weights) {
    const WeightMoments& of = weight.moments;
    for (const double value : {of.minimum, of.maximum, of.mean, of.deviation, weight.kurtosis})
      moments.push_back(static_cast<float>(value));
    for (const double error : weight.errors) errors.push_back(static_cast<float>(error));
  }
  write(moments);
  write(errors);
  writer.finish();
}

CalibrationStats read_calibration(const std::string& path) {
  const gguf::Reader file(path);
  CalibrationStats stats;
  read_metadata(file.metadata(), stats);
  const auto key_biases = file.metadata().find_bool(key("key_biases"));
  if (!key_biases) fail(ErrorKind::kBadFile, "{}: {}: expected bool, found nothing", path, key("key_biases"));
  const auto specs = specs_of(stats.shape, *key_biases, stats.weights.size(), stats.schemes.size());
  if (file.tensors().size() != specs.size()) {
    fail(ErrorKind::kBadFile, "{}: tensor count: expected {} for {} layers, found {}", path, specs.size(),
         stats.shape.layers, file.tensors().size());
  }
  const Contents contents(file);
  size_t next = 0;
  for (const TapPlace& place : all_taps(stats.shape.layers)) {
    stats.taps.push_back(read_tap(contents, place, specs[next], specs[next + 1]));
    next += 2;
  }
  if (*key_biases) {
    for (uint32_t layer = 0; layer < stats.shape.layers; ++layer)
      stats.key_biases.push_back(contents.values(specs[next++]));
  }
  const std::vector<float> moments = contents.values(specs[next]);
  read_weights(file, moments, contents.values(specs[next + 1]), stats);
  return stats;
}

}  // namespace stonechat
