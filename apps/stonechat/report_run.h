// Runs steps of a report as programs of their own, so that each has its memory and caches to itself.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "report/state.h"
#include "report/step_plan.h"

namespace stonechat {

// Runs `pending` in order and saves what each gives, in `state` and in `records`, by key. A step that fails
// is told on standard error, and the others go on; so do those of other types where a model's file can't be
// made, but none without "f32": Error{kIo}. `records` also says how long steps like these took before.
// Error{kInterrupted} after Ctrl-C, once the step that runs has ended: it isn't saved, what came before is.
// Error{kIo} when results can't be saved. Returns how many failed.
uint32_t run_steps(const ReportSettings& settings, const std::vector<ReportStep>& pending, StepClock& clock,
                   ReportState& state, std::map<std::string, StepRecord>& records);

// How long the steps may take, and their parts: "about 73 s: limits 3 s, speed 70 s".
std::string times_text(const std::vector<ReportStep>& steps, const StepClock& clock);

}  // namespace stonechat
