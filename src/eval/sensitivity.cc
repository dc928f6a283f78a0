#include "eval/sensitivity.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "eval/divergence.h"
#include "model/replaced_matrix.h"

namespace stonechat {
namespace {

// These tensors rounded as the job's scheme does, in FP32.
ReplacementByTensor rounded(const SensitivityJob& job, const std::vector<std::string>& tensors) {
  ReplacementByTensor replacements;
  for (const WeightStats& stats : job.stats) {
    if (std::find(tensors.begin(), tensors.end(), stats.name) == tensors.end()) continue;
    replacements[stats.name] = {
        gguf::TensorType::kF32,
        [&](std::span<const float> values, uint64_t cols, std::span<std::byte> destination) {
          std::vector<float> result(values.size());
          round_rows(job.scheme.type, values, cols, stats.moments, result.data());
          std::memcpy(destination.data(), result.data(), result.size() * sizeof(float));
        }};
  }
  return replacements;
}

std::string kind_of(const std::string& tensor) {
  if (!tensor.starts_with("blk.")) return tensor;
  return tensor.substr(tensor.find('.', 4) + 1);
}

std::string layer_of(const std::string& tensor) {
  return tensor.starts_with("blk.") ? tensor.substr(0, tensor.find('.', 4)) : "";
}

}  // namespace

std::string_view name(SensitivityUnit unit) {
  constexpr std::string_view kNames[] = {"all", "kind", "layer", "tensor"};
  return kNames[static_cast<size_t>(unit)];
}

std::vector<SensitivityItem> sensitivity_items(const std::vector<WeightStats>& stats, size_t scheme,
                                               const std::vector<SensitivityUnit>& units) {
  std::vector<SensitivityItem> items;
  for (const SensitivityUnit unit : units) {
    const size_t first = items.size();
    for (const WeightStats& weight : stats) {
      if (weight.errors[scheme] < 0) continue;
      std::string group = weight.name;
      if (unit == SensitivityUnit::kAll) group = "all";
      if (unit == SensitivityUnit::kKind) group = kind_of(weight.name);
      if (unit == SensitivityUnit::kLayer) group = layer_of(weight.name);
      if (group.empty()) continue;
      auto item = std::find_if(items.begin() + static_cast<std::ptrdiff_t>(first), items.end(),
                               [&](const SensitivityItem& one) { return one.name == group; });
      if (item == items.end()) {
        items.push_back({.unit = unit, .name = group, .tensors = {}});
        item = items.end() - 1;
      }
      item->tensors.push_back(weight.name);
      item->weights += weight.rows * weight.cols;
      if (unit == SensitivityUnit::kTensor) item->relative_error = weight.errors[scheme];
    }
  }
  return items;
}

SensitivityReport measure_sensitivity(const SensitivityJob& job, std::vector<SensitivityItem> items,
                                      const Tokenizer& tokenizer, std::span<const TokenId> tokens,
                                      const WindowOptions& options, const SensitivityCallback& after_run) {
  const Windows windows(tokenizer, tokens, options);
  const size_t vocabulary = job.weights.config.vocabulary;
  Executor executor(job.weights, job.kernels, job.pool, job.tuning);
  KvCache cache(job.weights, options.window);
  std::vector<float> reference(windows.scored() * vocabulary);
  // By item, the values of all scored positions so far.
  std::vector<std::vector<double>> kl(items.size()), same_top(items.size());
  SensitivityReport report{.items = {}, .windows = 0, .wanted = windows.count(), .scored_tokens = 0};
  bool stopped = false;
  while (report.windows < windows.count() && !stopped) {
    const std::vector<TokenId> window = windows.tokens(report.windows);
    for_each_scored(executor, cache, windows, window, [&](uint32_t row, std::span<const float> logits) {
      std::copy(logits.begin(), logits.end(),
                reference.begin() + static_cast<std::ptrdiff_t>(row * vocabulary));
    });
    const size_t before = report.windows * windows.scored();
    size_t finished = 0;
    for (; finished < items.size() && !stopped; ++finished) {
      const size_t i = finished;
      kl[i].resize(before + windows.scored());
      same_top[i].resize(before + windows.scored());
      const ReplacedMatrices replaced(job.file, job.weights, job.kernels, job.pool,
                                      rounded(job, items[i].tensors));
      for_each_scored(executor, cache, windows, window, [&](uint32_t row, std::span<const float> logits) {
        const TokenId right = window[windows.first_scored() + row + 1];
        const Divergence one =
            diverge(logits, std::span(reference).subspan(row * vocabulary, vocabulary), right);
        kl[i][before + row] = one.kl;
        same_top[i][before + row] = one.same_top ? 1 : 0;
      });
      const uint64_t done = report.windows * items.size() + i + 1;
      stopped = after_run && after_run(done, windows.count() * items.size());
    }
    if (finished == items.size()) ++report.windows;
  }
  if (report.windows == 0) fail(ErrorKind::kInterrupted, "interrupted before the first chunk was done");
  report.scored_tokens = report.windows * windows.scored();
  for (size_t i = 0; i < items.size(); ++i) {
    kl[i].resize(report.scored_tokens);
    same_top[i].resize(report.scored_tokens);
    items[i].kl = grouped_estimate(kl[i], windows.scored());
    items[i].same_top = grouped_estimate(same_top[i], windows.scored());
  }
  report.items = std::move(items);
  return report;
}

}  // namespace stonechat
