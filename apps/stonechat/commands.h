// The subcommands of the `stonechat` program. Each function adds one to the parser; its callback does the
// work and throws stonechat::Error, which main() turns into a message and an exit code.
#pragma once

#include <string>
#include <vector>

#include "command_line.h"

namespace stonechat {

void add_inspect_command(Command& app);
void add_convert_command(Command& app);
void add_quantize_command(Command& app);
void add_pack_command(Command& app);
void add_pull_command(Command& app);
void add_tokenize_command(Command& app);
void add_run_command(Command& app);
void add_chat_command(Command& app);
void add_bench_command(Command& app);
void add_eval_command(Command& app);
void add_eval_tasks(Command& eval);  // its multiple-choice tasks
void add_report_command(Command& app);
void add_report_compare(Command& report);  // its subcommand `compare`
void add_tune_command(Command& app);
void add_calibrate_command(Command& app);
void add_stats_command(Command& app);
void add_sensitivity_command(Command& app);

// All of them, in the order that --help shows (commands.cc).
void add_commands(Command& app);

// Flags of several letters after one dash, which the parser doesn't know, become their long forms: -ctk and
// -ctv, and llama-bench's others (-pg, -ub, -npl) where the arguments are those of `bench`.
void spell_out_flags(std::vector<std::string>& arguments);

// Version, compiler, and the kernel tables that this machine runs.
std::string version_text();

}  // namespace stonechat
