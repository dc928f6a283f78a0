// Runs a model over a text and records what its taps see (docs/calibration.md).
//
// The text is cut into windows as for perplexity; all tokens of a window count. Equal models, texts and
// options give equal statistics, bit for bit, with any number of threads, tuning and table of kernels.
#pragma once

#include <span>
#include <vector>

#include "eval/windows.h"
#include "gguf/reader.h"
#include "model/executor.h"
#include "quant/calibration_file.h"
#include "quant/imatrix_file.h"
#include "tokenizer/tokenizer.h"

namespace stonechat {

struct Calibration {
  uint64_t windows = 0;  // that are done
  uint64_t wanted = 0;   // that would have been done without an interruption
  std::vector<TapStats> taps = {};
};

// `on_window` may stop; what was done until then stands. Error{kUsage} when the text has fewer tokens than
// one window; Error{kBadFile} naming the tap when activations aren't finite.
Calibration calibrate(Executor& executor, const Tokenizer& tokenizer, std::span<const TokenId> tokens,
                      const WindowOptions& options, const WindowCallback& on_window);

TapShape tap_shape(const ModelConfig& config);

// The biases of the key projections, by layer; nothing for a model without.
std::vector<std::vector<float>> key_biases(const gguf::Reader& file, const ModelConfig& config);

// The inputs of all weight matrices; those of the head under the embedding's name where both are one.
std::vector<ImportanceEntry> importance(const std::vector<TapStats>& taps, uint32_t layers,
                                        bool separate_head);

}  // namespace stonechat
