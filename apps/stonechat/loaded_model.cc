#include "loaded_model.h"

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "bus_error.h"
#include "cache_flags.h"
#include "kernels/dispatch.h"
#include "model/packed_file.h"
#include "model_argument.h"

namespace stonechat {
namespace {

constexpr uint32_t kDefaultContext = 4096;

void print_notice(const std::string& notice) {
  fmt::print(stderr, "stonechat: {}\n", notice);
}

}  // namespace

void RunFlags::add_threads(Command& command) {
  command.add_option("-t,--threads", threads, "Threads (default: the processors that this process may use)")
      ->check(Range(1U, kMostThreads));
}

void RunFlags::add_context(Command& command) {
  command
      .add_option("-c,--context", context,
                  "Tokens of context, prompt and answer together (default: up to 4096)")
      ->check(Range(1U, 1U << 27));
  add_batch(command);
  add_cache_flags(command, cache);
}

void RunFlags::add_batch(Command& command) {
  command.add_option("-b,--batch", batch, "Tokens of a prompt computed together (default: 256, or as tuned)")
      ->check(Range(1U, 1U << 16));
}

void RunFlags::add_no_tune(Command& command) {
  command.add_flag("--no-tune", no_tune, "Leave out what 'stonechat tune' stored");
}

LoadedModel::LoadedModel(const std::string& argument, ThreadPool& pool)
    : path(resolve_model(argument)),
      file(path),
      // To map a packed file takes no longer than to build the tokenizer's tables.
      tokenizer_to_come(std::async(pool.threads() > 1 ? std::launch::async : std::launch::deferred,
                                   [this] { return Tokenizer(file.metadata()); })),
      weights(Weights::load(file, kernels(), pool, print_notice)),
      tokenizer(tokenizer_to_come.get()) {
  for (const char* list : {"merges", "token_type", "scores"})
    file.forget(std::string("tokenizer.ggml.") +
                list);  // several megabytes that the tokenizer holds in its way
  if (is_packed(file.metadata())) explain_bus_errors(path);
  if (tokenizer.vocabulary_size() > weights.config.vocabulary) {
    fail(ErrorKind::kBadFile,
         "{}: tokenizer.ggml.tokens: expected at most the {} rows of token_embd.weight, found {}", path,
         weights.config.vocabulary, tokenizer.vocabulary_size());
  }
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

std::string describe(const Weights& weights) {
  return fmt::format("{} {} {}", weights.config.architecture, parameters_text(weights.parameters),
                     weights.file_type);
}

}  // namespace stonechat
