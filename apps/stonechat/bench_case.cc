#include "bench_case.h"

#include <algorithm>
#include <chrono>

#include "base/checked.h"
#include "interrupt.h"
#include "kernels/dispatch.h"

namespace stonechat {

std::vector<int32_t> TokenSource::next(uint32_t count) {
  std::vector<int32_t> tokens(count);
  for (auto& token : tokens) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    token = static_cast<int32_t>((state_ >> 33) % vocabulary_);
  }
  return tokens;
}

BenchCase::BenchCase(const Weights& weights, ThreadPool& pool, const BenchTest& test, const Tuning& tuning)
    : test_(test),
      micro_batch_(tuning.batch),
      tokens_(weights.config.vocabulary),
      executor_(weights, kernels(), pool, tuning) {
  executor_.set_should_stop(interrupted);
  const uint32_t capacity = std::max(1U, test.depth + test.prompt + test.generate);
  for (uint32_t i = 0; i < test.parallel; ++i) caches_.emplace_back(weights, capacity, test.cache);
}

void BenchCase::warm_up() {
  if (test_.prompt > 0) prompt();
  if (test_.generate > 0) generate(1);
  for (KvCache& cache : caches_) cache.truncate(0);
}

void BenchCase::fill() {
  for (KvCache& cache : caches_) cache.truncate(std::min(cache.length(), test_.depth));
  const uint32_t missing = test_.depth - caches_[0].length();
  if (missing > 0) forward(missing, Wanted::kNone);
}

double BenchCase::run(Profile* profile) {
  executor_.set_profile(profile);
  const auto start = std::chrono::steady_clock::now();
  if (test_.prompt > 0) prompt();
  if (test_.generate > 0) generate(test_.generate);
  const auto end = std::chrono::steady_clock::now();
  executor_.set_profile(nullptr);
  return std::chrono::duration<double, std::nano>(end - start).count();
}

void BenchCase::forward(uint32_t count, Wanted wanted) {
  std::vector<std::vector<int32_t>> tokens;
  std::vector<SequenceTokens> sequences;
  for (KvCache& cache : caches_) {
    tokens.push_back(tokens_.next(count));
    sequences.push_back({&cache, tokens.back(), wanted});
  }
  executor_.forward(sequences);
}

void BenchCase::prompt() {
  forward(test_.prompt, Wanted::kLast);
  executor_.logits(0, executor_.hidden_rows());
}

void BenchCase::generate(uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    forward(1, Wanted::kLast);
    executor_.logits(0, executor_.hidden_rows());
  }
}

size_t BenchCase::cache_bytes() const {
  size_t bytes = 0;
  for (const KvCache& cache : caches_) bytes += cache.bytes();
  return bytes;
}

Cost BenchCase::prompt_cost() const {
  if (test_.prompt == 0) return {};
  const Weights& weights = executor_.weights();
  const uint64_t tokens = uint64_t{test_.prompt} * test_.parallel;
  Cost cost = layers_cost(weights, tokens);
  cost.bytes *= static_cast<double>(ceil_div(tokens, micro_batch_));  // the weights are read once a batch
  for (uint32_t done = 0; done < test_.prompt; done += micro_batch_) {
    const uint32_t count = std::min(micro_batch_, test_.prompt - done);
    const Cost attention = attention_cost(weights.config, test_.cache, uint64_t{test_.depth} + done, count);
    cost += double{1} * test_.parallel * weights.config.layers * attention;
  }
  return cost;
}

Cost BenchCase::generate_cost() const {
  if (test_.generate == 0) return {};
  const Weights& weights = executor_.weights();
  const uint64_t batches = ceil_div(test_.parallel, micro_batch_);
  Cost layers = layers_cost(weights, test_.parallel);
  layers.bytes *= static_cast<double>(batches);
  Cost cost = double{1} * test_.generate * (layers + product_cost(weights.head_matrix(), test_.parallel));
  for (uint32_t done = 0; done < test_.generate; ++done) {
    const uint64_t position = uint64_t{test_.depth} + test_.prompt + done;
    cost += double{1} * test_.parallel * weights.config.layers *
            attention_cost(weights.config, test_.cache, position, 1);
  }
  return cost;
}

}  // namespace stonechat
