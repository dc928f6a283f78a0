// Log-likelihoods of a question's choices, with what they share computed once.
//
// One cache holds the shared beginning (shots and question) and is kept from question to question; each
// choice has a cache that takes what it lacks of it, and all choices go through the model in one batch. Equal
// to scoring each choice alone, bit for bit, as results don't depend on how tokens are cut into batches.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "model/executor.h"
#include "tokenizer/tokenizer.h"

namespace stonechat {

struct ChoiceScores {
  std::vector<double> log_likelihoods;  // nats, of all tokens of a choice
  bool truncated = false;               // the beginning didn't fit into the context
};

class ChoiceScorer {
 public:
  // `context` tokens of room for prompt and choice together.
  ChoiceScorer(Executor& executor, const Tokenizer& tokenizer, uint32_t context, CacheFormats formats);

  // Of continuations (with the delimiter before them) of a prompt. `where` begins errors: Error{kBadFile}
  // when one has no tokens, Error{kLimit} when one alone doesn't fit.
  ChoiceScores score(const std::string& prompt, const std::vector<std::string>& continuations,
                     const std::string& where);

 private:
  struct Sequence {
    KvCache cache;
    std::vector<TokenId> tokens;  // in the cache
  };

  Executor& executor_;
  const Tokenizer& tokenizer_;
  uint32_t context_;
  CacheFormats formats_;
  Sequence shared_;
  std::deque<Sequence> choices_;
};

}  // namespace stonechat
