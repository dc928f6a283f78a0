#include "model/config.h"

#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "kernels/kernel_table.h"

namespace stonechat {
namespace {

// Far above every model of the two architectures, far below what would overflow a product.
constexpr uint64_t kMostLayers = 1024;
constexpr uint64_t kMostWidth = 1 << 17;
constexpr uint64_t kMostHeads = 1024;
constexpr uint64_t kMostVocabulary = 1 << 24;
constexpr uint64_t kMostContext = 1 << 27;

class Keys {
 public:
  Keys(const gguf::Metadata& metadata, std::string architecture)
      : metadata_(metadata), prefix_(std::move(architecture) + ".") {}

  uint32_t required(const std::string& key, uint64_t most) const {
    return in_range(key, metadata_.get_uint(prefix_ + key), most);
  }

  uint32_t optional(const std::string& key, uint32_t otherwise, uint64_t most) const {
    const auto value = metadata_.find_uint(prefix_ + key);
    return value ? in_range(key, *value, most) : otherwise;
  }

  double optional_float(const std::string& key, double otherwise, double least, double most) const {
    const double value = metadata_.find_float(prefix_ + key).value_or(otherwise);
    if (!(value >= least && value <= most)) {
      fail(ErrorKind::kBadFile, "{}: {}{}: expected {} to {}, found {}", metadata_.file(), prefix_, key,
           least, most, value);
    }
    return value;
  }

  void require(bool holds, const std::string& key, const std::string& expected, uint64_t found) const {
    if (!holds) {
      fail(ErrorKind::kBadFile, "{}: {}{}: expected {}, found {}", metadata_.file(), prefix_, key, expected,
           found);
    }
  }

 private:
  uint32_t in_range(const std::string& key, uint64_t value, uint64_t most) const {
    require(value >= 1 && value <= most, key, fmt::format("1 to {}", most), value);
    return static_cast<uint32_t>(value);
  }

  const gguf::Metadata& metadata_;
  std::string prefix_;
};

void read_rope_scaling(const gguf::Metadata& metadata, const Keys& keys, ModelConfig& config) {
  const std::string key = config.architecture + ".rope.scaling.type";
  const std::string type = metadata.find_string(key).value_or("none");
  if (type == "none") return;
  if (type != "linear") {
    fail(ErrorKind::kBadFile, "{}: {}: expected none or linear, found '{}'", metadata.file(), key, type);
  }
  config.rope_divisor = keys.optional_float("rope.scaling.factor", 1.0, 1e-3, 1e6);
}

}  // namespace

ModelConfig ModelConfig::from(const gguf::ModelSource& file) {
  const gguf::Metadata& metadata = file.metadata();
  ModelConfig config;
  config.architecture = metadata.get_string("general.architecture");
  const bool packed = config.architecture == gguf::kPackedArchitecture;
  if (packed) config.architecture = metadata.get_string(kPackArchitectureKey);
  if (config.architecture != "qwen2" && config.architecture != "llama") {
    fail(ErrorKind::kBadFile, "{}: {}: expected qwen2 or llama, found '{}'", file.path(),
         packed ? kPackArchitectureKey : "general.architecture", config.architecture);
  }
  config.name =
      metadata.find_string("general.name").value_or(std::filesystem::path(file.path()).stem().string());

  const Keys keys(metadata, config.architecture);
  config.layers = keys.required("block_count", kMostLayers);
  config.width = keys.required("embedding_length", kMostWidth);
  config.mlp_width = keys.required("feed_forward_length", kMostWidth);
  config.heads = keys.required("attention.head_count", kMostHeads);
  config.kv_heads = keys.optional("attention.head_count_kv", config.heads, kMostHeads);
  config.context_length = keys.required("context_length", kMostContext);
  keys.require(config.width % kBlock == 0, "embedding_length", "a multiple of 32", config.width);
  keys.require(config.mlp_width % kBlock == 0, "feed_forward_length", "a multiple of 32", config.mlp_width);
  keys.require(config.heads % config.kv_heads == 0, "attention.head_count_kv",
               fmt::format("a divisor of the {} query heads", config.heads), config.kv_heads);

  config.head_dim = keys.optional("attention.key_length", config.width / config.heads, kMostHeadDim);
  keys.require(config.head_dim >= 32 && config.head_dim % 32 == 0 && config.head_dim <= kMostHeadDim,
               "attention.key_length", "a multiple of 32 up to 256", config.head_dim);
  const uint32_t value_dim = keys.optional("attention.value_length", config.head_dim, kMostHeadDim);
  keys.require(value_dim == config.head_dim, "attention.value_length", fmt::format("{}", config.head_dim),
               value_dim);
  const uint32_t rotated = keys.optional("rope.dimension_count", config.head_dim, kMostHeadDim);
  keys.require(rotated == config.head_dim, "rope.dimension_count", fmt::format("{}", config.head_dim),
               rotated);

  config.rms_epsilon =
      static_cast<float>(keys.optional_float("attention.layer_norm_rms_epsilon", 1e-5, 1e-12, 1.0));
  config.rope_base = keys.optional_float("rope.freq_base", 10000.0, 1.0, 1e12);
  read_rope_scaling(metadata, keys, config);
  config.rope_pairs_adjacent = config.architecture == "llama";

  if (packed) {
    const uint64_t vocabulary = metadata.get_uint(kPackVocabularyKey);
    if (vocabulary < 1 || vocabulary > kMostVocabulary) {
      fail(ErrorKind::kBadFile, "{}: {}: expected 1 to {}, found {}", file.path(), kPackVocabularyKey,
           kMostVocabulary, vocabulary);
    }
    config.vocabulary = static_cast<uint32_t>(vocabulary);
    return config;
  }
  const gguf::TensorInfo* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr) fail(ErrorKind::kBadFile, "{}: tensor token_embd.weight is missing", file.path());
  if (embedding->rows() > kMostVocabulary) {
    fail(ErrorKind::kBadFile, "{}: tensor token_embd.weight: expected at most {} rows, found {}", file.path(),
         kMostVocabulary, embedding->rows());
  }
  config.vocabulary = static_cast<uint32_t>(embedding->rows());
  return config;
}

}  // namespace stonechat
