// One sequence: a prompt in, streamed text out, with the key/value cache kept between turns.
//
// Uses but doesn't own the weights, the tokenizer and the thread pool; they must outlive it. One thread at a
// time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/sampler.h"
#include "model/executor.h"
#include "tokenizer/tokenizer.h"

namespace stonechat {

struct GenerateOptions {
  SamplerOptions sampler;
  uint32_t max_tokens = 0;  // 0: until the model ends or the context is full
  std::vector<std::string> stops;
  bool ignore_end = false;    // goes on after an end token
  bool show_special = false;  // shows the text of control tokens
};

enum class EndReason { kEndToken, kStopString, kMaxTokens, kContextFull, kInterrupted };
std::string_view name(EndReason reason);  // "end", "stop", "length", "context", "interrupted"

struct GenerateStats {
  EndReason reason = EndReason::kEndToken;
  uint32_t prompt_tokens = 0;     // of the whole prompt
  uint32_t reused_tokens = 0;     // of these, found in the cache
  uint32_t generated_tokens = 0;  // an end token included
  double prompt_seconds = 0;
  double generate_seconds = 0;

  // Tokens a second, of the prompt those that weren't found in the cache; 0 where none were timed.
  double prompt_speed() const { return speed(prompt_tokens - reused_tokens, prompt_seconds); }
  double generate_speed() const { return speed(generated_tokens, generate_seconds); }

 private:
  static double speed(uint32_t tokens, double seconds) { return seconds > 0 ? tokens / seconds : 0; }
};

class Session {
 public:
  // `context` tokens of room, prompt and answer together.
  Session(const Weights& weights, const Tokenizer& tokenizer, const KernelTable& kernels, ThreadPool& pool,
          uint32_t context, const Tuning& tuning = {}, CacheFormats cache = {});

  uint32_t context() const { return cache_.capacity(); }
  // The tokens in the cache.
  std::span<const TokenId> tokens() const { return tokens_; }
  const KvCache& cache() const { return cache_; }

  // Runs the prompt, reusing what the cache holds of its beginning, then generates. Text goes to `on_text` as
  // soon as its characters are complete. `should_stop` is asked before each batch and token: a stop during
  // the prompt is Error{kInterrupted}, a later one EndReason::kInterrupted. Error{kUsage} for an empty
  // prompt; Error{kLimit} with both counts when the prompt and one token of answer don't fit into the
  // context.
  GenerateStats generate(std::span<const TokenId> prompt, const GenerateOptions& options,
                         const std::function<void(std::string_view)>& on_text,
                         const std::function<bool()>& should_stop = {});

 private:
  // Puts the prompt into the cache; returns how many of its tokens were there.
  uint32_t prefill(std::span<const TokenId> prompt);

  const Tokenizer& tokenizer_;
  KvCache cache_;
  Executor executor_;
  std::vector<TokenId> tokens_;
};

}  // namespace stonechat
