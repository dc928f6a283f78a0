// The tasks that stonechat knows by name: templates and names are those of lm-evaluation-harness 0.4.13.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "eval/task.h"

namespace stonechat {

// Tasks of one data file.
std::span<const Task> builtin_tasks();

// C-Eval has a dev and a val file a subject, whose name is a part of the prompt.
struct CevalSubject {
  std::string_view name;     // as in file names
  std::string_view chinese;  // as in the prompt
};
std::span<const CevalSubject> ceval_subjects();
Task ceval_task(const CevalSubject& subject);

}  // namespace stonechat
