// A task of the user's own, described in JSON (docs/evaluation.md).
#pragma once

#include <string>

#include "eval/task.h"

namespace stonechat {

// Error{kBadFile} naming file and key: unknown, missing, of another type, or a template that isn't one.
Task read_task_file(const std::string& path);

}  // namespace stonechat
