#include "loaded_model.h"

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/heap.h"
#include "bus_error.h"
#include "kernels/dispatch.h"
#include "model/packed_file.h"
#include "model_argument.h"

namespace stonechat {
namespace {

constexpr uint32_t kDefaultContext = 4096;

void print_notice(const std::string& notice) {
  fmt::print(stderr, "stonechat: {}\n", notice);
}

// Of a file that may be run, as far as its header tells.
ModelConfig config_of(const gguf::Reader& file) {
  ModelConfig config = ModelConfig::from(file);
  if (is_packed(file.metadata())) check_packed_for(file.metadata(), kernels());
  return config;
}

// The file, if a run of it fits into memory.
const gguf::Reader& checked(const gguf::Reader& file, const Tuning& tuning, const ThreadPool& pool,
                            const NeedOf& need_of) {
  const ModelConfig config = config_of(file);
  RunNeed need;
  need.shape.threads = pool.threads();
  if (need_of) need = need_of(config, tuning);
  if (const auto room = memory_room()) check_room(file, config, kernels(), need, *room, print_notice);
  return file;
}

}  // namespace

LoadedModel::LoadedModel(const std::string& argument, ThreadPool& pool, const RunFlags& flags,
                         const NeedOf& need)
    : path(resolve_model(argument)),
      file(path),
      chosen(choose_tuning(file, config_of(file), flags)),
      // To map a packed file takes no longer than to build the tokenizer's tables.
      tokenizer_to_come(std::async(pool.threads() > 1 ? std::launch::async : std::launch::deferred,
                                   [this] { return Tokenizer(file.metadata()); })),
      weights(Weights::load(checked(file, chosen.tuning, pool, need), kernels(), pool, print_notice)),
      tokenizer(tokenizer_to_come.get()),
      tokenizer_bytes(Tokenizer::estimate_bytes(file.metadata())) {
  for (const char* list : {"merges", "token_type", "scores"})
    file.forget(std::string("tokenizer.ggml.") +
                list);  // several megabytes that the tokenizer holds in its way
  release_free_heap();  // these, and what the tensors were read into
  if (is_packed(file.metadata())) explain_bus_errors(path);
  if (tokenizer.vocabulary_size() > weights.config.vocabulary) {
    fail(ErrorKind::kBadFile,
         "{}: tokenizer.ggml.tokens: expected at most the {} rows of token_embd.weight, found {}", path,
         weights.config.vocabulary, tokenizer.vocabulary_size());
  }
}

MemoryEstimate LoadedModel::estimate(const RunShape& shape) const {
  MemoryEstimate estimate = estimate_memory(file, weights.config, kernels(), shape);
  estimate.parts[MemoryPart::kTokenizer] = tokenizer_bytes;
  return estimate;
}

void check_context(const ModelConfig& config, uint32_t asked) {
  if (asked > config.context_length) {
    fail(ErrorKind::kUsage, "--context: the model was trained for {} tokens, got {}", config.context_length,
         asked);
  }
}

uint32_t context_for(const ModelConfig& config, uint32_t asked) {
  if (asked == 0) return std::min(kDefaultContext, config.context_length);
  check_context(config, asked);
  return asked;
}

std::string parameters_text(uint64_t parameters) {
  const double millions = static_cast<double>(parameters) / 1e6;
  return millions < 1000 ? fmt::format("{:.0f}M", millions) : fmt::format("{:.2f}B", millions / 1000);
}

RunShape run_shape(uint32_t tokens, const RunFlags& flags, const Tuning& tuning) {
  return {.tokens = tokens,
          .pass_tokens = tokens,
          .threads = tuning.most_threads(flags.thread_count()),
          .cache = flags.cache,
          .tuning = tuning};
}

MemoryEstimate estimate_model(const std::string& argument, const RunFlags& flags, const NeedOf& need) {
  const gguf::Reader file(resolve_model(argument));
  const ModelConfig config = config_of(file);
  const Tuning tuning = choose_tuning(file, config, flags).tuning;
  return estimate_run(file, config, kernels(), need(config, tuning).shape);
}

std::string describe(const Weights& weights) {
  return fmt::format("{} {} {}", weights.config.architecture, parameters_text(weights.parameters),
                     weights.file_type);
}

}  // namespace stonechat
