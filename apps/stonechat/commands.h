// The subcommands of the `stonechat` program. Each function adds one to the parser; its callback does the work and
// throws stonechat::Error, which main() turns into a message and an exit code.
#pragma once

#include <CLI/CLI.hpp>

namespace stonechat {

void add_inspect_command(CLI::App& app);
void add_convert_command(CLI::App& app);
void add_quantize_command(CLI::App& app);
void add_pull_command(CLI::App& app);
void add_tokenize_command(CLI::App& app);
void add_run_command(CLI::App& app);
void add_chat_command(CLI::App& app);
void add_bench_command(CLI::App& app);
void add_eval_command(CLI::App& app);

}  // namespace stonechat
