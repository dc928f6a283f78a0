// The results of a report from what its steps printed.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "report/results.h"
#include "report/state.h"
#include "report/step_plan.h"

namespace stonechat {

// The answers in the file that `eval TASK --samples-out` wrote. Error{kBadFile} naming file, line and field.
std::vector<ReportAnswer> read_answers(const std::string& path);

// Error{kBadFile} naming the field when a step's output isn't what such a step prints; `output` is its JSON.
void check_output(const ReportStep& step, const std::string& output);

// Fills in what was measured: the machine's limits, all of the variants but the sizes of their weights, the
// times, and for each part without results, or with fewer than planned, why. `records` are those of steps, by
// key. Errors: as of check_output().
void collect(const ReportSettings& settings, const std::vector<ReportStep>& steps,
             const std::map<std::string, StepRecord>& records, ReportResults& results);

}  // namespace stonechat
