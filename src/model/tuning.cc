#include "model/tuning.h"

#include <string>

#include "base/error.h"

namespace stonechat {
namespace {

constexpr TuningField kFields[] = {
    {"prompt_threads", "threads", &Tuning::prompt_threads, 0, kMostTunedThreads, 1},
    {"decode_threads", "threads", &Tuning::decode_threads, 0, kMostTunedThreads, 1},
    {"batch", "tokens", &Tuning::batch, 1, 1U << 16, 1},
    {"token_block", "tokens", &Tuning::token_block, kTokenStep, 16 * kTokenStep, kTokenStep},
    {"mlp_piece", "columns", &Tuning::mlp_piece, 32, 1024, 32},
    {"few_tokens", "tokens", &Tuning::few_tokens, 0, 512, 1},
};

}  // namespace

std::span<const TuningField> tuning_fields() {
  return kFields;
}

void check(const Tuning& tuning) {
  for (const TuningField& field : kFields) {
    const uint32_t value = tuning.*field.value;
    if (value < field.least || value > field.most || value % field.step != 0) {
      const std::string step = field.step == 1 ? "" : fmt::format(" that are multiples of {}", field.step);
      fail(ErrorKind::kUsage, "{}: expected {} to {} {}{}, found {}", field.name, field.least, field.most,
           field.unit, step, value);
    }
  }
  if ((tuning.prompt_threads == 0) != (tuning.decode_threads == 0)) {
    fail(ErrorKind::kUsage, "decode_threads: expected {}, as prompt_threads is {}, found {}",
         tuning.prompt_threads == 0 ? "0" : "1 or more", tuning.prompt_threads, tuning.decode_threads);
  }
}

}  // namespace stonechat
