// How much each weight matrix, and each group of them, costs when it alone is quantized: the KL divergence of
// the model with these weights rounded from the model as it is.
//
// Weights are rounded as a scheme does (quant/weight_stats.h) and multiplied in FP32, activations stay exact:
// what is measured is the scheme's loss in the weights. Equal for any number of threads.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "eval/statistics.h"
#include "eval/windows.h"
#include "gguf/reader.h"
#include "model/executor.h"
#include "quant/schemes.h"
#include "quant/weight_stats.h"
#include "tokenizer/tokenizer.h"

namespace stonechat {

enum class SensitivityUnit { kAll, kKind, kLayer, kTensor };
std::string_view name(SensitivityUnit unit);  // "all", "kind", "layer", "tensor"

// Some weight matrices that are quantized together.
struct SensitivityItem {
  SensitivityUnit unit;
  std::string name;                  // "blk.3.attn_q.weight"; of a kind "attn_q.weight", of a layer "blk.3"
  std::vector<std::string> tensors;  // not empty
  uint64_t weights = 0;              // elements of these
  double relative_error = -1;        // of a tensor alone: its relative rms error; else -1
  // Their errors are from the means of windows.
  Estimate kl = {};        // nats a token
  Estimate same_top = {};  // share of positions whose most probable token is the same
};

struct SensitivityReport {
  std::vector<SensitivityItem> items;
  uint64_t windows = 0;  // that are done
  uint64_t wanted = 0;
  uint64_t scored_tokens = 0;
};

// All matrices that `scheme` can hold: together, by kind, by layer, alone; only the units asked for.
std::vector<SensitivityItem> sensitivity_items(const std::vector<WeightStats>& stats, size_t scheme,
                                               const std::vector<SensitivityUnit>& units);

struct SensitivityJob {
  const gguf::Reader& file;  // that `weights` came from
  Weights& weights;          // changed while this runs, and the same afterwards
  const KernelTable& kernels;
  ThreadPool& pool;
  const Tuning& tuning;
  const std::vector<WeightStats>& stats;  // of the file's matrices
  const Scheme& scheme;
};

// Told after each run of an item in a window; a true result stops. What was done of a window then doesn't
// count; Error{kInterrupted} when no window is complete.
using SensitivityCallback = std::function<bool(uint64_t done, uint64_t total)>;

// Fills in what the items cost.
SensitivityReport measure_sensitivity(const SensitivityJob& job, std::vector<SensitivityItem> items,
                                      const Tokenizer& tokenizer, std::span<const TokenId> tokens,
                                      const WindowOptions& options, const SensitivityCallback& after_run);

}  // namespace stonechat
