// Finds types by tensor that keep a divergence, for `quantize --target-kl` and `--budget-mib`.
#pragma once

#include <cstdint>
#include <string>

#include "base/thread_pool.h"
#include "gguf/reader.h"
#include "quant/type_plan.h"

namespace stonechat {

struct PlanWishes {
  gguf::TensorType plain = gguf::TensorType::kQ8_0;   // of as many weights as may be
  gguf::TensorType better = gguf::TensorType::kQ8_0;  // of what needs it
  double target_kl = 0;                               // nats a token; 0: as little as the budget gives
  double budget_mib = 0;                              // of the file; 0: any
  std::string text;                                   // path
  uint32_t window = 512;                              // tokens
  uint32_t windows = 2;
};

// Measures what each stack of tensors costs alone in the plain type, chooses, measures the choice, and
// chooses more carefully until it holds. Says on standard output what it found. Error{kLimit} when the wishes
// can't be met, saying what was reached; Error{kUsage} for a text shorter than a window.
TypePlan find_plan(const gguf::Reader& file, const PlanWishes& wishes, ThreadPool& pool);

}  // namespace stonechat
