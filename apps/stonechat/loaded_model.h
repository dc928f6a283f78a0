// What every command that runs a model needs, loaded from one model argument.
#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>

#include "base/thread_pool.h"
#include "engine/memory_need.h"
#include "gguf/reader.h"
#include "model/weights.h"
#include "run_flags.h"
#include "tokenizer/tokenizer.h"
#include "tuning_choice.h"

namespace stonechat {

// What a command will do with the model that runs with this tuning, to be told before it is loaded. May throw
// what the flags deserve.
using NeedOf = std::function<RunNeed(const ModelConfig&, const Tuning&)>;

struct LoadedModel {
  std::string path;
  gguf::Reader file;
  ChosenTuning chosen;                       // for a run with the flags
  std::future<Tokenizer> tokenizer_to_come;  // only while the constructor runs
  Weights weights;
  Tokenizer tokenizer;
  uint64_t tokenizer_bytes;  // as estimated

  // Resolves the argument (path, catalog name, hf:), reads everything, unless memory is too small for it
  // (engine/memory_need.h). Notices go to stderr.
  LoadedModel(const std::string& argument, ThreadPool& pool, const RunFlags& flags, const NeedOf& need = {});

  // What estimate_model() says of a run of this shape.
  MemoryEstimate estimate(const RunShape& shape) const;
};

// Error{kUsage} with both counts when --context asks for more tokens than the model was trained for.
void check_context(const ModelConfig& config, uint32_t asked);

// Tokens of context: what the user asked for, or 4,096, or what the model was trained for where that is less.
// Error as of check_context().
uint32_t context_for(const ModelConfig& config, uint32_t asked);

// "494M", "1.54B".
std::string parameters_text(uint64_t parameters);

// A run of that many tokens with these flags and the tuning that was chosen by them.
RunShape run_shape(uint32_t tokens, const RunFlags& flags, const Tuning& tuning);

// What loading and running a model would take, from its header.
MemoryEstimate estimate_model(const std::string& argument, const RunFlags& flags, const NeedOf& need);

// "qwen2 494M Q8_0": what bench and chat call a model.
std::string describe(const Weights& weights);

}  // namespace stonechat
