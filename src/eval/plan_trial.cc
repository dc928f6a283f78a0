#include "eval/plan_trial.h"

#include <algorithm>
#include <utility>

#include "eval/divergence.h"

namespace stonechat {
PlanTrial::PlanTrial(const gguf::Reader& file, Weights& weights, const KernelTable& kernels, ThreadPool& pool,
                     const Windows& windows, std::function<bool()> should_stop)
    : file_(file),
      weights_(weights),
      kernels_(kernels),
      pool_(pool),
      windows_(windows),
      should_stop_(std::move(should_stop)),
      stacks_(all_stack_plans(weights.config, weights.head.has_value())),
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
  const ReplacedMatrices replaced(file_, weights_, kernels_, pool_, quantized(file_, types, pool_));
  std::vector<double> values(windows_.count() * windows_.scored());
  for_each_logits([&](uint64_t row, std::span<const float> logits) {
    const auto reference = std::span(reference_).subspan(row * logits.size(), logits.size());
    values[row] = diverge(logits, reference, 0).kl;
  });
  return grouped_estimate(values, windows_.scored());
}

}  // namespace stonechat
