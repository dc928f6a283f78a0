// The tasks whose questions a user has: which, and how much there is to compute.
#pragma once

#include <cstdint>
#include <string>

#include "report/step_plan.h"

namespace stonechat {

// Reads all questions of the folder's tasks, so that a broken file is named before anything is measured, and
// adds them to the settings, or why a task isn't there: arc_c/test.jsonl, hellaswag/sample.jsonl, ceval/.
// With `few` questions of each task, without shots; `limit` (0: none) says how many others. Error{kUsage}
// where the folder has none of them; else as eval/question_set.h.
void add_tasks(const std::string& folder, bool few, uint32_t limit, ReportSettings& settings);

}  // namespace stonechat
