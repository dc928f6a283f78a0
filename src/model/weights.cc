#include "model/weights.h"

#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "model/rope_table.h"
#include "quant/decode.h"

namespace stonechat {
namespace {

// Hands out a file's tensors by name, checks their shapes, and remembers which ones were taken.
class TensorShelf {
 public:
  TensorShelf(const gguf::Reader& file, const KernelTable& kernels, ThreadPool& pool)
      : file_(file), kernels_(kernels), pool_(pool) {}

  bool has(const std::string& name) const { return file_.find_tensor(name) != nullptr; }

  std::vector<float> vector(const std::string& name, uint32_t length) {
    const gguf::TensorInfo& tensor = take(name, {length});
    std::vector<std::byte> stored(tensor.bytes);
    file_.read_rows(tensor, 0, tensor.rows(), stored);
    std::vector<float> values(length);
    decode(tensor.type, stored.data(), length, values.data());
    for (const float value : values) {
      if (!std::isfinite(value)) {
        fail(ErrorKind::kBadFile, "{}: tensor {}: expected finite values, found {}", file_.path(), name,
             value);
      }
    }
    return values;
  }

  PackedMatrix::Part part(const std::string& name, uint32_t rows, uint32_t cols) {
    return {&take(name, {cols, rows}), 0, rows, nullptr};
  }

  PackedMatrix matrix(std::span<const PackedMatrix::Part> parts) {
    return PackedMatrix(file_, parts, kernels_, pool_);
  }
  PackedMatrix matrix(std::initializer_list<PackedMatrix::Part> parts) {
    return matrix(std::span(parts.begin(), parts.size()));
  }

  // A file with tensors that we don't compute with isn't the model that we think it is.
  void check_all_taken() const {
    for (const auto& tensor : file_.tensors()) {
      if (!taken_.contains(tensor.name)) {
        fail(ErrorKind::kBadFile, "{}: tensor {}: not one of this architecture's", file_.path(), tensor.name);
      }
    }
  }

 private:
  const gguf::TensorInfo& take(const std::string& name, const std::vector<uint64_t>& shape) {
    const gguf::TensorInfo* tensor = file_.find_tensor(name);
    if (tensor == nullptr) fail(ErrorKind::kBadFile, "{}: tensor {} is missing", file_.path(), name);
    if (tensor->shape != shape) {
      fail(ErrorKind::kBadFile, "{}: tensor {}: expected shape {}, found {}", file_.path(), name,
           gguf::shape_text(shape), gguf::shape_text(tensor->shape));
    }
    taken_.insert(name);
    return *tensor;
  }

  const gguf::Reader& file_;
  const KernelTable& kernels_;
  ThreadPool& pool_;
  std::set<std::string> taken_;
};

// Files of the llama architecture pair dimensions (2i, 2i + 1) of a head for the rotation. Scores don't
// change when queries and keys are reordered alike, so we put pairs half a head apart, and have one rotation
// kernel.
std::function<uint32_t(uint32_t)> rows_of_half_pairs(uint32_t head_dim) {
  return [head_dim](uint32_t row) {
    const uint32_t within = row % head_dim;
    const uint32_t half = head_dim / 2;
    const uint32_t source = within < half ? 2 * within : 2 * (within - half) + 1;
    return row - within + source;
  };
}

std::vector<float> load_qkv_bias(TensorShelf& shelf, const ModelConfig& config, const std::string& prefix) {
  if (!shelf.has(prefix + "attn_q.bias") && !shelf.has(prefix + "attn_k.bias") &&
      !shelf.has(prefix + "attn_v.bias")) {
    return {};
  }
  std::vector<float> bias;
  for (const auto& [name, rows] :
       {std::pair{"attn_q.bias", config.query_width()}, std::pair{"attn_k.bias", config.kv_width()},
        std::pair{"attn_v.bias", config.kv_width()}}) {
    const std::vector<float> part = shelf.vector(prefix + name, rows);
    const bool rotated = std::string_view(name) != "attn_v.bias";
    const auto source_row = rows_of_half_pairs(config.head_dim);
    for (uint32_t row = 0; row < rows; ++row) {
      bias.push_back(part[rotated && config.rope_pairs_adjacent ? source_row(row) : row]);
    }
  }
  return bias;
}

// Some heads add biases of up to 211 to keys, which leaves binary16 no bits for the rest of such a dimension.
// A vector that all keys of a head have in common changes no attention: it adds the same to all scores of a
// query, and softmax takes that out again. Rotated biases differ by position, but in slow pairs, where the
// large ones are, hardly: so there we cache keys without them (docs/decisions/0004-key-offset.md).
std::vector<float> key_offset_of(const ModelConfig& config, const std::vector<float>& qkv_bias,
                                 const std::vector<double>& frequencies) {
  constexpr double kSlow = 1e-4;  // radians a position: 0.4 over 4,096 tokens
  if (qkv_bias.empty()) return {};
  std::vector<float> offset(config.kv_width());
  for (uint32_t i = 0; i < config.kv_width(); ++i) {
    const uint32_t pair = i % config.head_dim % (config.head_dim / 2);
    offset[i] = frequencies[pair] <= kSlow ? qkv_bias[config.query_width() + i] : 0.0F;
  }
  return offset;
}

// 32 rows of one, 32 rows of the other, and so on.
std::vector<PackedMatrix::Part> taken_in_turns(const PackedMatrix::Part& one,
                                               const PackedMatrix::Part& other) {
  std::vector<PackedMatrix::Part> turns;
  for (uint32_t row = 0; row < one.rows; row += kBlock) {
    turns.push_back({one.tensor, row, kBlock, nullptr});
    turns.push_back({other.tensor, row, kBlock, nullptr});
  }
  return turns;
}

LayerWeights load_layer(TensorShelf& shelf, const ModelConfig& config, const std::vector<double>& frequencies,
                        uint32_t index) {
  const std::string prefix = fmt::format("blk.{}.", index);
  const uint32_t width = config.width;
  LayerWeights layer;
  layer.attention_norm = shelf.vector(prefix + "attn_norm.weight", width);
  auto query = shelf.part(prefix + "attn_q.weight", config.query_width(), width);
  auto key = shelf.part(prefix + "attn_k.weight", config.kv_width(), width);
  if (config.rope_pairs_adjacent) query.source_row = key.source_row = rows_of_half_pairs(config.head_dim);
  layer.qkv = shelf.matrix({query, key, shelf.part(prefix + "attn_v.weight", config.kv_width(), width)});
  layer.qkv_bias = load_qkv_bias(shelf, config, prefix);
  layer.key_offset = key_offset_of(config, layer.qkv_bias, frequencies);
  layer.attention_out =
      shelf.matrix({shelf.part(prefix + "attn_output.weight", width, config.query_width())});
  layer.mlp_norm = shelf.vector(prefix + "ffn_norm.weight", width);
  const auto gate = shelf.part(prefix + "ffn_gate.weight", config.mlp_width, width);
  const auto up = shelf.part(prefix + "ffn_up.weight", config.mlp_width, width);
  layer.gate_up = shelf.matrix(taken_in_turns(gate, up));
  layer.down = shelf.matrix({shelf.part(prefix + "ffn_down.weight", width, config.mlp_width)});
  return layer;
}

void count_tensors(const gguf::Reader& file, Weights& weights) {
  std::map<gguf::TensorType, uint64_t> parameters_of;
  for (const auto& tensor : file.tensors()) {
    weights.file_bytes += tensor.bytes;
    if (tensor.name == "rope_freqs.weight") continue;
    weights.parameters += tensor.elements();
    parameters_of[tensor.type] += tensor.elements();
  }
  uint64_t most = 0;
  for (const auto& [type, parameters] : parameters_of) {
    if (parameters <= most) continue;
    most = parameters;
    weights.file_type = gguf::name(type);
  }
}

void notice_reencoding(const gguf::Reader& file, const std::function<void(const std::string&)>& notice) {
  std::map<std::string_view, uint32_t> count_of;
  for (const auto& tensor : file.tensors()) {
    const bool is_ours = tensor.type == gguf::TensorType::kF32 || tensor.type == gguf::TensorType::kF16 ||
                         tensor.type == gguf::TensorType::kBF16 || tensor.type == gguf::TensorType::kQ8_0;
    if (!is_ours) ++count_of[gguf::name(tensor.type)];
  }
  if (count_of.empty() || !notice) return;
  std::string list;
  for (const auto& [type, count] : count_of)
    list += fmt::format("{}{} {}", list.empty() ? "" : ", ", count, type);
  notice(fmt::format("{}: tensors are re-encoded to Q8_0 at load ({})", file.path(), list));
}

}  // namespace

Weights Weights::load(const gguf::Reader& file, const KernelTable& kernels, ThreadPool& pool,
                      const std::function<void(const std::string&)>& notice) {
  Weights weights;
  weights.config = ModelConfig::from(file);
  const ModelConfig& config = weights.config;
  TensorShelf shelf(file, kernels, pool);
  notice_reencoding(file, notice);
  weights.embedding = shelf.matrix({shelf.part("token_embd.weight", config.vocabulary, config.width)});
  if (shelf.has("output.weight")) {
    weights.head = shelf.matrix({shelf.part("output.weight", config.vocabulary, config.width)});
  }
  weights.output_norm = shelf.vector("output_norm.weight", config.width);
  if (shelf.has("rope_freqs.weight")) {
    weights.rope_factors = shelf.vector("rope_freqs.weight", config.head_dim / 2);
    for (const float factor : weights.rope_factors) {
      if (!(factor > 0)) {
        fail(ErrorKind::kBadFile, "{}: tensor rope_freqs.weight: expected factors above 0, found {}",
             file.path(), factor);
      }
    }
  }
  const std::vector<double> frequencies = rope_frequencies(config, weights.rope_factors);
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    weights.layers.push_back(load_layer(shelf, config, frequencies, layer));
  }
  shelf.check_all_taken();

  count_tensors(file, weights);
  weights.packed_bytes = weights.embedding.bytes() + (weights.head ? weights.head->bytes() : 0);
  for (const auto& layer : weights.layers) {
    weights.packed_bytes +=
        layer.qkv.bytes() + layer.attention_out.bytes() + layer.gate_up.bytes() + layer.down.bytes();
  }
  return weights;
}

}  // namespace stonechat
