#include "plan_finder.h"

#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "base/error.h"
#include "base/memory_parts.h"
#include "eval/plan_search.h"
#include "eval/plan_trial.h"
#include "interrupt.h"
#include "kernels/dispatch.h"
#include "model/packed_file.h"
#include "progress.h"
#include "quant/plans.h"
#include "text_input.h"
#include "tokenizer/tokenizer.h"

namespace stonechat {
namespace {

constexpr double kMib = 1 << 20;
constexpr int kMostRounds = 6;

TypeByTensor types_of(const StackPlan& stack, gguf::TensorType type) {
  TypeByTensor types;
  for (const StackPart& part : stack.parts) types[part.tensor] = type;
  return types;
}

int64_t bytes_of(const gguf::Reader& file, const StackPlan& stack, gguf::TensorType type) {
  int64_t bytes = 0;
  for (const StackPart& part : stack.parts) {
    const gguf::TensorInfo& tensor = *file.find_tensor(part.tensor);
    const uint64_t tensor_bytes = gguf::TensorSpec{tensor.name, type, tensor.shape}.bytes();
    bytes += static_cast<int64_t>(round_up(tensor_bytes, file.alignment()));
  }
  return bytes;
}

// "blk.3.attn_qkv" for what is packed as "blk.3.attn_qkv.pack".
std::string name_of(const StackPlan& stack) {
  return stack.name.substr(0, stack.name.rfind('.'));
}

std::vector<StackCost> measure_stacks(const gguf::Reader& file, const PlanWishes& wishes, PlanTrial& trial) {
  std::vector<StackCost> costs;
  Progress progress("sensitivity", trial.stacks().size(), "stacks");
  for (const StackPlan& stack : trial.stacks()) {
    costs.push_back({name_of(stack), trial.kl(types_of(stack, wishes.plain)).mean,
                     bytes_of(file, stack, wishes.better) - bytes_of(file, stack, wishes.plain)});
    progress.update(costs.size());
  }
  progress.finish();
  return costs;
}

void print_costs(std::vector<StackCost> costs) {
  constexpr size_t kShown = 12;
  std::stable_sort(costs.begin(), costs.end(), [](const auto& a, const auto& b) { return a.kl > b.kl; });
  fmt::print("{:<24} {:>10}  (alone in the plain type, the {} that cost most of {})\n", "stack", "mean KL",
             std::min(kShown, costs.size()), costs.size());
  for (size_t i = 0; i < std::min(kShown, costs.size()); ++i)
    fmt::print("{:<24} {:>10.6f}\n", costs[i].name, costs[i].kl);
}

TypeByTensor types_of(const PlanTrial& trial, const PlanChoice& choice, const PlanWishes& wishes) {
  TypeByTensor types;
  for (size_t i = 0; i < trial.stacks().size(); ++i)
    types.merge(types_of(trial.stacks()[i], choice.better[i] ? wishes.better : wishes.plain));
  return types;
}

TypePlan plan_of(const PlanTrial& trial, const PlanChoice& choice, const PlanWishes& wishes) {
  TypePlan plan;
  plan.type = wishes.plain;
  for (size_t i = 0; i < trial.stacks().size(); ++i) {
    if (!choice.better[i]) continue;
    for (const StackPart& part : trial.stacks()[i].parts) plan.rules.push_back({part.tensor, wishes.better});
  }
  return plan;
}

}  // namespace

TypePlan find_plan(const gguf::Reader& file, const PlanWishes& wishes, ThreadPool& pool) {
  if (is_packed(file.metadata()))
    fail(ErrorKind::kUsage, "{}: a packed file; take the GGUF file that it was made from", file.path());
  const std::string text = read_text_file(wishes.text);
  TypePlan plain;
  plain.type = wishes.plain;
  const auto plain_bytes = static_cast<int64_t>(quantize_plan(file, plain).predicted_bytes());
  const int64_t budget = wishes.budget_mib > 0
                             ? static_cast<int64_t>(std::floor(wishes.budget_mib * kMib)) - plain_bytes
                             : INT64_MAX / 2;
  const Tokenizer tokenizer(file.metadata());
  const std::vector<TokenId> tokens = tokenizer.encode(text, Tokenizer::SpecialTokens::kPlainText);
  const Windows windows(tokenizer, tokens, {wishes.window, wishes.windows});
  catch_interrupts();
  Weights weights = Weights::load(file, kernels(), pool, {});
  PlanTrial trial(file, weights, kernels(), pool, windows, interrupted);
  const std::vector<StackCost> costs = measure_stacks(file, wishes, trial);
  print_costs(costs);

  // What stacks cost together isn't the sum of what each costs alone, and the better type costs something
  // too: so the choice is measured, and the sum that is aimed at is lowered until the measure is right.
  double aim = wishes.target_kl;
  PlanChoice choice;
  Estimate measured;
  for (int round = 0; round < kMostRounds; ++round) {
    const PlanChoice before = choice;
    choice = choose_better(costs, aim, budget);
    if (round > 0 && choice.better == before.better) break;  // there is nothing left that the budget holds
    measured = trial.kl(types_of(trial, choice, wishes));
    const auto count = std::count(choice.better.begin(), choice.better.end(), true);
    fmt::print(
        "{} of {} stacks {}, the rest {}: predicted KL {:.6f}, measured {:.6f} +- {:.6f}, {:.2f} MiB\n",
        count, costs.size(), writable_type_name(wishes.better), writable_type_name(wishes.plain),
        choice.predicted_kl, measured.mean, measured.standard_error, mebibytes(plain_bytes + choice.bytes));
    if (wishes.target_kl == 0 || measured.mean <= wishes.target_kl) break;
    aim = std::max(0.0, choice.predicted_kl + std::min(0.0, wishes.target_kl - measured.mean)) * 0.9;
  }
  if (wishes.target_kl > 0 && measured.mean > wishes.target_kl) {
    fail(ErrorKind::kLimit,
         "--target-kl: expected a mean KL of at most {}, reached {:.6f} with {:.2f} MiB; {}",
         wishes.target_kl, measured.mean, mebibytes(plain_bytes + choice.bytes),
         wishes.budget_mib > 0 ? "a larger --budget-mib or a better --better type may reach it"
                               : "a better --better type may reach it");
  }
  if (plain_bytes + choice.bytes > plain_bytes + budget) {
    fail(ErrorKind::kLimit,
         "--budget-mib: expected at most {} MiB, the file takes {:.2f} MiB with all matrices {}",
         wishes.budget_mib, mebibytes(plain_bytes), writable_type_name(wishes.plain));
  }
  return plan_of(trial, choice, wishes);
}

}  // namespace stonechat
