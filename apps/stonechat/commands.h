// The subcommands of the `stonechat` program. Each function adds one to the parser; its callback does the
// work and throws stonechat::Error, which main() turns into a message and an exit code.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

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

// All of them, in the order that --help shows (commands.cc).
void add_commands(CLI::App& app);

// Version, compiler, and the kernel tables that this machine runs.
std::string version_text();

}  // namespace stonechat
