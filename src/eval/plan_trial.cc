#include "eval/plan_trial.h"

#include <algorithm>
#include <utility>

#include "eval/divergence.h"

namespace stonechat {
namespace {

// In the order of all_stack_plans().
std::vector<PackedMatrix*> matrices_of(Weights& weights) {
  std::vector<PackedMatrix*> matrices = {&weights.embedding};
  if (weights.head) matrices.push_back(&*weights.head);
  for (LayerWeights& layer : weights.layers) {
    for (PackedMatrix* matrix : {&layer.qkv, &layer.attention_out, &layer.gate_up, &layer.down})
      matrices.push_back(matrix);
  }
  return matrices;
}

// Puts matrices in the place of others, and these back in the end.
class Exchange {
 public:
  Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange() {
    for (auto& [place, original] : originals_) *place = std::move(original);
  }
  void put(PackedMatrix* place, PackedMatrix matrix) {
    originals_.emplace_back(place, std::move(*place));
    *place = std::move(matrix);
  }

 private:
  std::vector<std::pair<PackedMatrix*, PackedMatrix>> originals_;
};

}  // namespace

PlanTrial::PlanTrial(const gguf::Reader& file, Weights& weights, const KernelTable& kernels, ThreadPool& pool,
                     const Windows& windows, std::function<bool()> should_stop)
    : file_(file),
      weights_(weights),
      kernels_(kernels),
      pool_(pool),
      windows_(windows),
      should_stop_(std::move(should_stop)),
      stacks_(all_stack_plans(weights.config, weights.head.has_value())),
      matrices_(matrices_of(weights)),
      reference_(windows.count() * windows.scored() * weights.config.vocabulary) {
  for_each_logits([&](uint64_t row, std::span<const float> logits) {
    std::copy(logits.begin(), logits.end(),
              reference_.begin() + static_cast<std::ptrdiff_t>(row * logits.size()));
  });
}

void PlanTrial::for_each_logits(
    const std::function<void(uint64_t row, std::span<const float> logits)>& take) {
  Executor executor(weights_, kernels_, pool_);
  executor.set_should_stop(should_stop_);
  const uint64_t scored = windows_.scored();
  for (uint64_t index = 0; index < windows_.count(); ++index) {
    const std::vector<TokenId> window = windows_.tokens(index);
    KvCache cache(weights_, static_cast<uint32_t>(window.size()));
    for_each_scored(executor, cache, windows_, window,
                    [&](uint32_t row, std::span<const float> logits) { take(index * scored + row, logits); });
  }
}

Estimate PlanTrial::kl(const TypeByTensor& types) {
  Exchange exchange;
  for (size_t i = 0; i < stacks_.size(); ++i) {
    const auto& parts = stacks_[i].parts;
    const bool changes = std::any_of(parts.begin(), parts.end(),
                                     [&](const auto& part) { return types.contains(part.tensor); });
    if (!changes) continue;
    exchange.put(matrices_[i],
                 quantized_matrix(file_, stacks_[i], weights_.config.head_dim, types, kernels_, pool_));
  }
  std::vector<double> values(windows_.count() * windows_.scored());
  for_each_logits([&](uint64_t row, std::span<const float> logits) {
    const auto reference = std::span(reference_).subspan(row * logits.size(), logits.size());
    values[row] = diverge(logits, reference, 0).kl;
  });
  return estimate(values);
}

}  // namespace stonechat
