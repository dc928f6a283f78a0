#include "eval/choice_scorer.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "eval/divergence.h"
#include "eval/windows.h"

namespace stonechat {
namespace {

uint32_t common_length(std::span<const TokenId> a, std::span<const TokenId> b) {
  return static_cast<uint32_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

}  // namespace

ChoiceScorer::ChoiceScorer(Executor& executor, const Tokenizer& tokenizer, uint32_t context,
                           CacheFormats formats, bool share)
    : executor_(executor),
      tokenizer_(tokenizer),
      context_(context),
      formats_(formats),
      share_(share),
      shared_{KvCache(executor.weights(), context, formats), {}} {}

ChoiceScorer::Request ChoiceScorer::request_for(const ChoiceText& choice, const std::string& where) const {
  // Blanks at a context's end belong to the continuation: its first token begins with them.
  const std::string context(without_trailing_blanks(choice.context));
  const size_t context_tokens = tokenizer_.encode(context, Tokenizer::SpecialTokens::kParse).size();
  Request request{tokenizer_.encode(choice.context + choice.continuation, Tokenizer::SpecialTokens::kParse),
                  static_cast<uint32_t>(context_tokens)};
  const size_t all = request.tokens.size();
  if (context_tokens == 0 || all <= context_tokens)
    fail(ErrorKind::kBadFile, "{}: the prompt has {} tokens, with a choice {}: both need at least one", where,
         context_tokens, all);
  if (all <= size_t{context_} + 1) return request;
  const size_t excess = all - context_ - 1;
  if (excess >= context_tokens)
    fail(ErrorKind::kLimit, "{}: a choice of {} tokens does not fit into a context of {}", where,
         all - context_tokens, context_);
  request.tokens.erase(request.tokens.begin(), request.tokens.begin() + static_cast<ptrdiff_t>(excess));
  request.prompt_tokens -= static_cast<uint32_t>(excess);
  request.truncated = true;
  return request;
}

ChoiceScores ChoiceScorer::score(std::span<const ChoiceText> choices, const std::string& where) {
  ChoiceScores scores;
  std::vector<Request> requests;
  for (const ChoiceText& choice : choices) {
    requests.push_back(request_for(choice, where));
    scores.truncated = scores.truncated || requests.back().truncated;
    scores.tokens += requests.back().tokens.size() - 1;
  }
  if (share_) {
    scores.log_likelihoods = log_likelihoods(requests);
    return scores;
  }
  for (const Request& request : requests) {
    shared_.tokens.clear();  // nothing is known
    scores.log_likelihoods.push_back(log_likelihoods(std::span(&request, 1))[0]);
  }
  return scores;
}

std::vector<double> ChoiceScorer::log_likelihoods(std::span<const Request> requests) {
  // The shared beginning ends before the first token whose logits some choice needs.
  const std::span<const TokenId> first = requests[0].tokens;
  uint32_t shared = requests[0].prompt_tokens - 1;
  for (const Request& request : requests)
    shared = std::min({shared, request.prompt_tokens - 1, common_length(first, request.tokens)});
  const uint32_t known = common_length(first.first(shared), shared_.tokens);
  shared_.cache.truncate(known);
  shared_.tokens.resize(known);
  if (known < shared) {
    const auto rest = first.subspan(known, shared - known);
    executor_.forward(shared_.cache, rest, Wanted::kNone);
    shared_.tokens.insert(shared_.tokens.end(), rest.begin(), rest.end());
  }

  std::vector<SequenceTokens> batch;
  while (choices_.size() < requests.size())
    choices_.push_back({KvCache(executor_.weights(), context_, formats_), {}});
  for (size_t i = 0; i < requests.size(); ++i) {
    Sequence& choice = choices_[i];
    choice.cache.copy_prefix(shared_.cache, common_length(first.first(shared), choice.tokens), shared);
    const auto input = std::span<const TokenId>(requests[i].tokens).first(requests[i].tokens.size() - 1);
    choice.tokens.assign(first.begin(), first.begin() + shared);  // what stays true if the run is stopped
    batch.push_back({&choice.cache, input.subspan(shared), Wanted::kAll});
  }
  executor_.forward(batch);
  std::vector<double> sums;
  uint32_t row = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    const Request& request = requests[i];
    const auto count = static_cast<uint32_t>(request.tokens.size()) - request.prompt_tokens;
    std::vector<double> logs(count);
    for_each_logits(executor_, row + request.prompt_tokens - 1 - shared, count,
                    [&](uint32_t token, std::span<const float> logits) {
                      logs[token] = log_probability(logits, request.tokens[request.prompt_tokens + token]);
                    });
    sums.push_back(std::accumulate(logs.begin(), logs.end(), 0.0));
    row += static_cast<uint32_t>(batch[i].tokens.size());
  }
  return sums;
}

}  // namespace stonechat
