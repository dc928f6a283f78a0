// What a choice of types by tensor would cost, measured without writing a file.
//
// Holds the logits of the reference for all scored tokens: tokens x vocabulary floats, 155 MB for a window of
// 512 tokens of a vocabulary of 151,936.
#pragma once

#include <functional>
#include <vector>

#include "eval/statistics.h"
#include "eval/windows.h"
#include "model/executor.h"
#include "model/replaced_matrix.h"

namespace stonechat {

class PlanTrial {
 public:
  // `weights` were loaded from `file`, which isn't a packed one, and are the reference. They are changed
  // while kl() runs, and as before after it. All arguments outlive this. `should_stop` as in Executor.
  PlanTrial(const gguf::Reader& file, Weights& weights, const KernelTable& kernels, ThreadPool& pool,
            const Windows& windows, std::function<bool()> should_stop);

  // Mean KL divergence in nats a token of the model with these tensors in these types; its error is from the
  // means of windows.
  Estimate kl(const TypeByTensor& types);

  // The stacks of the model: tensors that are multiplied with as one.
  const std::vector<StackPlan>& stacks() const { return stacks_; }

 private:
  // Calls take(row of all scored, token's logits) for each scored position.
  void for_each_logits(const std::function<void(uint64_t row, std::span<const float> logits)>& take);

  const gguf::Reader& file_;
  Weights& weights_;
  const KernelTable& kernels_;
  ThreadPool& pool_;
  const Windows& windows_;
  std::function<bool()> should_stop_;
  std::vector<StackPlan> stacks_;
  std::vector<float> reference_;  // (scored tokens, vocabulary)
};

}  // namespace stonechat
