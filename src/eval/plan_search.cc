#include "eval/plan_search.h"

#include <algorithm>
#include <numeric>

namespace stonechat {
namespace {

// By divergence saved a byte, without dividing by 0.
bool is_more_worth(const StackCost& a, const StackCost& b) {
  const bool a_is_free = a.better_bytes <= 0;
  const bool b_is_free = b.better_bytes <= 0;
  if (a_is_free || b_is_free) return a_is_free && !b_is_free;
  return a.kl * static_cast<double>(b.better_bytes) > b.kl * static_cast<double>(a.better_bytes);
}

}  // namespace

PlanChoice choose_better(std::span<const StackCost> stacks, double target_kl, int64_t budget) {
  PlanChoice choice;
  choice.better.resize(stacks.size());
  std::vector<size_t> order(stacks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return is_more_worth(stacks[a], stacks[b]); });
  for (const StackCost& stack : stacks) choice.predicted_kl += stack.kl;
  for (const size_t index : order) {
    const StackCost& stack = stacks[index];
    if (choice.predicted_kl <= target_kl) break;
    if (choice.bytes + stack.better_bytes > budget) continue;
    choice.better[index] = true;
    choice.bytes += stack.better_bytes;
    choice.predicted_kl -= stack.kl;
  }
  // Not what subtracting left of it.
  choice.predicted_kl = 0;
  for (size_t i = 0; i < stacks.size(); ++i) choice.predicted_kl += choice.better[i] ? 0.0 : stacks[i].kl;
  return choice;
}

}  // namespace stonechat
