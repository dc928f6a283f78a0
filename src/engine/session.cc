#include "engine/session.h"

#include <algorithm>

#include "base/error.h"
#include "engine/stop_matcher.h"
#include "tokenizer/utf8_stream.h"

namespace stonechat {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

std::string_view name(EndReason reason) {
  switch (reason) {
    case EndReason::kEndToken:
      return "end";
    case EndReason::kStopString:
      return "stop";
    case EndReason::kMaxTokens:
      return "length";
    case EndReason::kContextFull:
      return "context";
    case EndReason::kInterrupted:
      break;
  }
  return "interrupted";
}

Session::Session(const Weights& weights, const Tokenizer& tokenizer, const KernelTable& kernels,
                 ThreadPool& pool, uint32_t context, const Tuning& tuning, CacheFormats cache)
    : tokenizer_(tokenizer), cache_(weights, context, cache), executor_(weights, kernels, pool, tuning) {}

uint32_t Session::prefill(std::span<const TokenId> prompt) {
  // The last token must run, for its logits.
  const size_t most = std::min({tokens_.size(), size_t{cache_.length()}, prompt.size() - 1});
  const auto common =
      std::mismatch(prompt.begin(), prompt.begin() + static_cast<std::ptrdiff_t>(most), tokens_.begin());
  const auto reused = static_cast<uint32_t>(common.first - prompt.begin());
  cache_.truncate(reused);
  tokens_.assign(prompt.begin(), prompt.end());
  try {
    executor_.forward(cache_, prompt.subspan(reused), Wanted::kLast);
  } catch (...) {
    tokens_.resize(cache_.length());
    throw;
  }
  return reused;
}

GenerateStats Session::generate(std::span<const TokenId> prompt, const GenerateOptions& options,
                                const std::function<void(std::string_view)>& on_text,
                                const std::function<bool()>& should_stop) {
  if (prompt.empty()) fail(ErrorKind::kUsage, "the prompt is empty");
  if (prompt.size() >= context()) {
    fail(ErrorKind::kLimit,
         "the prompt has {} tokens, the context holds {} (and an answer needs at least one)", prompt.size(),
         context());
  }
  Sampler sampler(options.sampler);
  StopMatcher stop_matcher(options.stops);
  Utf8Stream characters;
  const auto show = [&](std::string_view text) {
    if (const std::string shown = stop_matcher.push(text); !shown.empty()) on_text(shown);
  };

  GenerateStats stats;
  stats.prompt_tokens = static_cast<uint32_t>(prompt.size());
  executor_.set_should_stop(should_stop);
  auto start = std::chrono::steady_clock::now();
  stats.reused_tokens = prefill(prompt);
  for (const TokenId token : prompt) sampler.accept(token);
  stats.prompt_seconds = seconds_since(start);

  start = std::chrono::steady_clock::now();
  for (;;) {
    if (should_stop && should_stop()) {
      stats.reason = EndReason::kInterrupted;
      break;
    }
    const TokenId token = sampler.sample(executor_.last_logits());
    sampler.accept(token);
    ++stats.generated_tokens;
    if (tokenizer_.is_end(token) && !options.ignore_end) {
      stats.reason = EndReason::kEndToken;
      break;
    }
    show(characters.push(tokenizer_.decode(token, options.show_special)));
    if (stop_matcher.matched()) {
      stats.reason = EndReason::kStopString;
      break;
    }
    if (options.max_tokens != 0 && stats.generated_tokens == options.max_tokens) {
      stats.reason = EndReason::kMaxTokens;
      break;
    }
    if (cache_.length() == context()) {
      stats.reason = EndReason::kContextFull;
      break;
    }
    tokens_.push_back(token);
    executor_.set_should_stop({});  // one token is quick; the loop asks
    executor_.forward(cache_, std::span(&token, 1), Wanted::kLast);
  }
  show(characters.finish());
  if (const std::string rest = stop_matcher.finish(); !rest.empty()) on_text(rest);
  stats.generate_seconds = seconds_since(start);
  return stats;
}

}  // namespace stonechat
