// Perplexity of a text, and the divergence of one model from another on it.
//
// The text's tokens are cut into windows of `window` tokens, a rest is left out; each window starts with an
// empty cache, with its first token replaced by bos where the vocabulary asks for one. Scored are the
// predictions of the tokens at window / 2 + 1 and later, so that each has at least half a window before it:
// what llama-perplexity does.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "eval/statistics.h"
#include "eval/windows.h"
#include "model/executor.h"
#include "tokenizer/tokenizer.h"

namespace stonechat {

struct PerplexityResult {
  double perplexity = 0;
  double perplexity_error = 0;  // standard error from the means of windows, first order
  uint64_t windows = 0;
  uint64_t scored_tokens = 0;
};

// Error{kUsage} when the text has fewer tokens than one window.
PerplexityResult perplexity(Executor& executor, const Tokenizer& tokenizer, std::span<const TokenId> tokens,
                            const WindowOptions& options, const WindowCallback& on_window);

struct KlResult {
  // Standard errors come from the means of windows.
  Estimate kl;  // nats a token
  double kl_median = 0, kl_p90 = 0, kl_p95 = 0, kl_p99 = 0, kl_p999 = 0, kl_maximum = 0;
  Estimate same_top;      // share of positions whose most probable token is the same
  Estimate top5_overlap;  // share of the reference's 5 most probable tokens that are among the model's
  Estimate probability_difference;        // of the right token, the model's less the reference's
  double probability_difference_rms = 0;  // root of the mean of its square
  Estimate log_perplexity_ratio;          // ln(the model's perplexity / the reference's)
  PerplexityResult model;
  PerplexityResult reference;
};

// Both executors run the same tokens; their vocabularies have the same size (else Error{kUsage}).
KlResult kl_divergence(Executor& executor, Executor& reference, const Tokenizer& tokenizer,
                       std::span<const TokenId> tokens, const WindowOptions& options,
                       const WindowCallback& on_window);

}  // namespace stonechat
