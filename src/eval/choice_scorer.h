// Log-likelihoods of a question's choices, with what they share computed once.
//
// One cache holds the shared beginning (shots and question) and is kept from question to question; each
// choice has a cache that takes what it lacks of it, and all choices go through the model in one batch. Equal
// to scoring each choice alone, bit for bit, as results don't depend on how tokens are cut into batches.
#pragma once

#include <deque>
#include <span>
#include <string>
#include <vector>

#include "eval/task.h"
#include "model/executor.h"
#include "tokenizer/tokenizer.h"

namespace stonechat {

struct ChoiceScores {
  std::vector<double> log_likelihoods;  // nats, of all tokens of a choice
  bool truncated = false;               // the beginning didn't fit into the context
  uint64_t tokens = 0;                  // of all choices, each with all that stands before it
};

class ChoiceScorer {
 public:
  // `context` tokens of room for prompt and choice together. Without `share`, each choice is computed from
  // its first token on: the same bits, slowly.
  ChoiceScorer(Executor& executor, const Tokenizer& tokenizer, uint32_t context, CacheFormats formats,
               bool share = true);

  // `where` begins errors: Error{kBadFile} when a context or continuation has no tokens, Error{kLimit} when a
  // continuation alone doesn't fit.
  ChoiceScores score(std::span<const ChoiceText> choices, const std::string& where);

 private:
  struct Request {
    std::vector<TokenId> tokens;  // the context's, then the continuation's
    uint32_t prompt_tokens = 0;   // of the context
    bool truncated = false;
  };
  struct Sequence {
    KvCache cache;
    std::vector<TokenId> tokens;  // in the cache
  };

  Request request_for(const ChoiceText& choice, const std::string& where) const;
  std::vector<double> log_likelihoods(std::span<const Request> requests);

  Executor& executor_;
  const Tokenizer& tokenizer_;
  uint32_t context_;
  CacheFormats formats_;
  bool share_;
  Sequence shared_;
  std::deque<Sequence> choices_;
};

}  // namespace stonechat
