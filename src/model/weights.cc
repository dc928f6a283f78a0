#include "model/weights.h"

#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "model/key_shift.h"
#include "model/memory_estimate.h"
#include "model/packed_file.h"
#include "model/rope.h"
#include "model/tensor_counts.h"
#include "model/tensor_shelf.h"
#include "model/weight_formats.h"

namespace stonechat {
namespace {

// Matrices of either kind of file.
class MatrixSource {
 public:
  MatrixSource(const gguf::Reader& file, const ModelConfig& config, const KernelTable& kernels,
               TensorShelf& shelf, ThreadPool& pool)
      : config_(config),
        kernels_(kernels),
        shelf_(shelf),
        pool_(pool),
        arena_(packed_bytes(file, config, kernels)) {
    if (is_packed(file.metadata())) packed_.emplace(file, config, kernels, shelf, pool);
  }

  bool has_head() const { return packed_ ? packed_->has_head() : shelf_.has("output.weight"); }

  PackedMatrix matrix(const StackPlan& plan) {
    if (packed_) return packed_->matrix(plan);
    return {shelf_.stack(plan, config_.head_dim), kernels_, arena_, pool_};
  }

 private:
  const ModelConfig& config_;
  const KernelTable& kernels_;
  TensorShelf& shelf_;
  ThreadPool& pool_;
  std::optional<PackedFile> packed_;
  PackArena arena_;
};

LayerWeights load_layer(TensorShelf& shelf, MatrixSource& matrices, const ModelConfig& config,
                        uint32_t index) {
  LayerWeights layer;
  layer.attention_norm = shelf.vector(attention_norm_plan(config, index));
  layer.qkv = matrices.matrix(qkv_plan(config, index));
  layer.qkv_bias = shelf.qkv_bias(config, index);
  layer.attention_out = matrices.matrix(attention_out_plan(config, index));
  layer.mlp_norm = shelf.vector(mlp_norm_plan(config, index));
  layer.gate_up = matrices.matrix(gate_up_plan(config, index));
  layer.down = matrices.matrix(down_plan(config, index));
  return layer;
}

// One sentence for each format that tensors are encoded in at load.
void notice_reencoding(const gguf::Reader& file, const ModelConfig& config,
                       const std::function<void(const std::string&)>& notice) {
  if (!notice || is_packed(file.metadata())) return;
  std::map<WeightFormat, std::map<std::string_view, uint32_t>> counts_of;
  for (const auto& [name, format] : matrix_formats(file, config)) {
    const gguf::TensorType type = file.find_tensor(name)->type;
    if (!is_stored_as(type, format)) ++counts_of[format][gguf::name(type)];
  }
  for (const auto& [format, counts] : counts_of) {
    std::string list;
    for (const auto& [type, count] : counts)
      list += fmt::format("{}{} {}", list.empty() ? "" : ", ", count, type);
    notice(fmt::format("{}: tensors are re-encoded to {} at load ({})", file.path(),
                       gguf::name(tensor_type(format)), list));
  }
}

}  // namespace

Weights Weights::load(const gguf::Reader& file, const KernelTable& kernels, ThreadPool& pool,
                      const std::function<void(const std::string&)>& notice) {
  Weights weights;
  weights.config = ModelConfig::from(file);
  const ModelConfig& config = weights.config;
  TensorShelf shelf(file);
  notice_reencoding(file, config, notice);
  MatrixSource matrices(file, config, kernels, shelf, pool);
  weights.embedding = matrices.matrix(embedding_plan(config));
  if (matrices.has_head()) weights.head = matrices.matrix(head_plan(config));
  weights.output_norm = shelf.vector(output_norm_plan(config));
  weights.rope_factors = shelf.vector(rope_factors_plan(config));
  const std::vector<double> frequencies = rope_frequencies(config, weights.rope_factors);
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    weights.layers.push_back(load_layer(shelf, matrices, config, layer));
    for (const bool is_wide : heads_with_fast_bias(config, weights.layers.back().qkv_bias, frequencies))
      weights.wide_key_heads.push_back(is_wide);
  }
  shelf.check_all_taken();

  TensorCounts counts = count_tensors(file);
  weights.file_bytes = counts.bytes;
  weights.parameters = counts.parameters;
  weights.file_type = std::move(counts.main_type);
  for (const PackedMatrix* matrix : weights.matrices()) weights.packed_bytes += matrix->bytes();
  return weights;
}

std::vector<PackedMatrix*> Weights::matrices() {
  std::vector<PackedMatrix*> result = {&embedding};
  if (head) result.push_back(&*head);
  for (LayerWeights& layer : layers)
    result.insert(result.end(), {&layer.qkv, &layer.attention_out, &layer.gate_up, &layer.down});
  return result;
}

}  // namespace stonechat
