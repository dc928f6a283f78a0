// Chooses which stacks of tensors get a better type, from what each costs alone: a knapsack, filled by
// divergence saved a byte.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace stonechat {

// Tensors that are multiplied with as one matrix, so get their types together.
struct StackCost {
  std::string name;
  double kl = 0;             // of this stack alone in the plain type, in nats a token
  int64_t better_bytes = 0;  // what the better type takes more than the plain one
};

struct PlanChoice {
  std::vector<bool> better;  // by stack
  double predicted_kl =
      0;              // the sum over stacks that stay plain: the small part of better ones isn't counted
  int64_t bytes = 0;  // more than all plain
};

// Stacks in the order of kl / better_bytes (those that take no bytes first; of equals the first one first)
// become better until the predicted divergence is at most `target_kl`; one that would take more than `budget`
// bytes in all is left out. target_kl 0 uses up the budget.
PlanChoice choose_better(std::span<const StackCost> stacks, double target_kl, int64_t budget);

}  // namespace stonechat
