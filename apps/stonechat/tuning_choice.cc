#include "tuning_choice.h"

#include <cstdio>

#include "base/error.h"
#include "hub/environment.h"
#include "kernels/dispatch.h"

namespace stonechat {

TuningKey tuning_key(const Weights& weights) {
  return TuningKey::of(weights, kernels(), STONECHAT_VERSION);
}

ChosenTuning choose_tuning(const Weights& weights, const RunFlags& flags) {
  ChosenTuning chosen;
  if (!flags.no_tune) {
    try {
      if (const auto found = find_tuning(HubEnvironment::read().own_cache, tuning_key(weights))) {
        chosen = {*found, true};
      }
    } catch (const Error& error) {
      fmt::print(stderr, "stonechat: {}; going on without this tuning\n", printable(error.what()));
    }
  }
  // The pool has the threads that were asked for; 0 leaves it as it is.
  if (flags.threads != 0) chosen.tuning.prompt_threads = chosen.tuning.decode_threads = 0;
  if (flags.batch != 0) chosen.tuning.batch = flags.batch;
  return chosen;
}

}  // namespace stonechat
