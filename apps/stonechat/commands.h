// The subcommands of the `stonechat` program. Each function adds one to the parser; its callback does the
// work and throws stonechat::Error, which main() turns into a message and an exit code.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace stonechat {

void add_inspect_command(CLI::App& app);
void add_convert_command(CLI::App& app);
void add_quantize_command(CLI::App& app);
void add_pack_command(CLI::App& app);
void add_pull_command(CLI::App& app);
void add_tokenize_command(CLI::App& app);
void add_run_command(CLI::App& app);
void add_chat_command(CLI::App& app);
void add_bench_command(CLI::App& app);
void add_eval_command(CLI::App& app);
void add_eval_tasks(CLI::App& eval);  // its multiple-choice tasks
void add_tune_command(CLI::App& app);
void add_calibrate_command(CLI::App& app);
void add_stats_command(CLI::App& app);
void add_sensitivity_command(CLI::App& app);

// All of them, in the order that --help shows (commands.cc).
void add_commands(CLI::App& app);

// Flags of several letters after one dash, which the parser doesn't know, become their long forms: -ctk and
// -ctv, and llama-bench's others (-pg, -ub, -npl) where the arguments are those of `bench`.
void spell_out_flags(std::vector<std::string>& arguments);

// Version, compiler, and the kernel tables that this machine runs.
std::string version_text();

}  // namespace stonechat
