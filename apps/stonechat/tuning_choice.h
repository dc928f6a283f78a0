// Which tuning a command runs with: what `stonechat tune` stored for this machine and model, else the
// defaults; flags of the command line win over both.
#pragma once

#include "gguf/reader.h"
#include "model/config.h"
#include "model/tuning.h"
#include "model/tuning_file.h"
#include "run_flags.h"

namespace stonechat {

struct ChosenTuning {
  Tuning tuning;
  bool tuned = false;  // a stored tuning is in use
};

// A stored tuning that is broken or another one's is told on stderr, once, and left out.
ChosenTuning choose_tuning(const gguf::Reader& file, const ModelConfig& config, const RunFlags& flags);

// What this machine, program and model are in such a file.
TuningKey tuning_key(const gguf::Reader& file, const ModelConfig& config);

}  // namespace stonechat
