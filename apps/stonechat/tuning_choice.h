// Which tuning a command runs with: what `stonechat tune` stored for this machine and model, else the
// defaults; flags of the command line win over both.
#pragma once

#include "loaded_model.h"
#include "model/tuning.h"
#include "model/tuning_file.h"

namespace stonechat {

struct ChosenTuning {
  Tuning tuning;
  bool tuned = false;  // a stored tuning is in use
};

// A stored tuning that is broken or another one's is told on stderr and left out.
ChosenTuning choose_tuning(const Weights& weights, const RunFlags& flags);

// What this machine, program and model are in such a file.
TuningKey tuning_key(const Weights& weights);

}  // namespace stonechat
