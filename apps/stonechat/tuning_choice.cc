#include "tuning_choice.h"

#include <cstdio>
#include <set>
#include <string>

#include "base/error.h"
#include "hub/environment.h"
#include "kernels/dispatch.h"

namespace stonechat {
namespace {

// A tuning is chosen for what a run will take and for the run, and for each of two models.
void tell_once(const std::string& notice) {
  static std::set<std::string> told;
  if (told.insert(notice).second) fmt::print(stderr, "stonechat: {}\n", notice);
}

}  // namespace

TuningKey tuning_key(const gguf::Reader& file, const ModelConfig& config) {
  return TuningKey::of(file, config, kernels(), STONECHAT_VERSION);
}

ChosenTuning choose_tuning(const gguf::Reader& file, const ModelConfig& config, const RunFlags& flags) {
  ChosenTuning chosen;
  if (!flags.no_tune) {
    try {
      if (const auto found = find_tuning(HubEnvironment::read().own_cache, tuning_key(file, config))) {
        chosen = {*found, true};
      }
    } catch (const Error& error) {
      tell_once(fmt::format("{}; going on without this tuning", printable(error.what())));
    }
  }
  // The pool has the threads that were asked for; 0 leaves it as it is.
  if (flags.threads != 0) chosen.tuning.prompt_threads = chosen.tuning.decode_threads = 0;
  if (flags.batch != 0) chosen.tuning.batch = flags.batch;
  return chosen;
}

}  // namespace stonechat
