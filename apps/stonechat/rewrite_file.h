// Runs and reports a quant/rewrite.h plan on the terminal, for `convert` and `quantize`.
#pragma once

#include <string>

#include "quant/rewrite.h"

namespace stonechat {

// What the plan would make of the file: types, sizes, parameters. On standard output.
void print_plan(const gguf::ModelSource& file, const RewritePlan& plan);

// Writes the file with a progress line, then prints the error of each tensor that lost something, and the
// sizes.
void rewrite_file(const std::string& label, const gguf::ModelSource& file, const RewritePlan& plan,
                  const std::string& out, ThreadPool& pool);

}  // namespace stonechat
