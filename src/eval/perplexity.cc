#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "eval/divergence.h"
#include "eval/windows.h"

namespace stonechat {
namespace {

PerplexityResult summarize(std::span<const double> negative_log_probabilities, const Windows& windows) {
  const Estimate mean = grouped_estimate(negative_log_probabilities, windows.scored());
  const double result = std::exp(mean.mean);
  return {result, result * mean.standard_error, windows.count(), negative_log_probabilities.size()};
}

void after_window(const WindowCallback& on_window, uint64_t done, uint64_t total) {
  if (on_window && on_window(done, total)) fail(ErrorKind::kInterrupted, "interrupted");
}

}  // namespace

PerplexityResult perplexity(Executor& executor, const Tokenizer& tokenizer, std::span<const TokenId> tokens,
                            const WindowOptions& options, const WindowCallback& on_window) {
  const Windows windows(tokenizer, tokens, options);
  KvCache cache(executor.weights(), options.window, options.cache);
  std::vector<double> losses(windows.count() * windows.scored());
  for (uint64_t index = 0; index < windows.count(); ++index) {
    const std::vector<TokenId> window = windows.tokens(index);
    for_each_scored(executor, cache, windows, window, [&](uint32_t row, std::span<const float> logits) {
      losses[index * windows.scored() + row] =
          -log_probability(logits, window[windows.first_scored() + row + 1]);
    });
    after_window(on_window, index + 1, windows.count());
  }
  return summarize(losses, windows);
}

KlResult kl_divergence(Executor& executor, Executor& reference, const Tokenizer& tokenizer,
                       std::span<const TokenId> tokens, const WindowOptions& options,
                       const WindowCallback& on_window) {
  const uint32_t vocabulary = executor.weights().config.vocabulary;
  if (reference.weights().config.vocabulary != vocabulary) {
    fail(ErrorKind::kUsage, "the models' vocabularies differ: {} tokens, the reference has {}", vocabulary,
         reference.weights().config.vocabulary);
  }
  const Windows windows(tokenizer, tokens, options);
  KvCache cache(executor.weights(), options.window, options.cache);
  KvCache reference_cache(reference.weights(), options.window, options.reference_cache);
  const uint64_t scored = windows.count() * windows.scored();
  std::vector<double> kl(scored), same_top(scored), top5(scored), difference(scored), losses(scored),
      reference_losses(scored);
  for (uint64_t index = 0; index < windows.count(); ++index) {
    const std::vector<TokenId> window = windows.tokens(index);
    cache.truncate(0);
    reference_cache.truncate(0);
    executor.forward(cache, window, Wanted::kAll);
    reference.forward(reference_cache, window, Wanted::kAll);
    for (uint32_t row = 0; row < windows.scored(); row += kLogitsAtOnce) {
      const uint32_t rows = std::min(kLogitsAtOnce, windows.scored() - row);
      const uint32_t first = windows.first_scored() + row;
      const std::span<const float> logits = executor.logits(first, rows);
      const std::span<const float> reference_logits = reference.logits(first, rows);
      executor.pool().for_each_chunk(rows, 1, [&](uint64_t begin, uint64_t) {
        const Divergence one =
            diverge(logits.subspan(begin * vocabulary, vocabulary),
                    reference_logits.subspan(begin * vocabulary, vocabulary), window[first + begin + 1]);
        const uint64_t slot = index * windows.scored() + row + begin;
        kl[slot] = one.kl;
        same_top[slot] = one.same_top ? 1 : 0;
        top5[slot] = one.top5_overlap;
        difference[slot] = one.probability_difference;
        losses[slot] = -one.log_probability;
        reference_losses[slot] = -one.log_probability_reference;
      });
    }
    after_window(on_window, index + 1, windows.count());
  }
  std::vector<double> losses_more;
  for (uint64_t slot = 0; slot < scored; ++slot) losses_more.push_back(losses[slot] - reference_losses[slot]);
  std::vector<double> squares;
  for (const double value : difference) squares.push_back(value * value);
  constexpr double kFractions[] = {0.5, 0.9, 0.95, 0.99, 0.999, 1.0};
  const std::vector<double> at = percentiles(kl, kFractions);
  return {
      .kl = grouped_estimate(kl, windows.scored()),
      .kl_median = at[0],
      .kl_p90 = at[1],
      .kl_p95 = at[2],
      .kl_p99 = at[3],
      .kl_p999 = at[4],
      .kl_maximum = at[5],
      .same_top = grouped_estimate(same_top, windows.scored()),
      .top5_overlap = grouped_estimate(top5, windows.scored()),
      .probability_difference = grouped_estimate(difference, windows.scored()),
      .probability_difference_rms = std::sqrt(estimate(squares).mean),
      .log_perplexity_ratio = grouped_estimate(losses_more, windows.scored()),
      .model = summarize(losses, windows),
      .reference = summarize(reference_losses, windows),
  };
}

}  // namespace stonechat
