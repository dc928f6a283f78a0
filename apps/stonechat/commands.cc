#include "commands.h"

#include <map>

namespace stonechat {

void add_commands(Command& app) {
  add_pull_command(app);
  add_run_command(app);
  add_chat_command(app);
  add_inspect_command(app);
  add_convert_command(app);
  add_calibrate_command(app);
  add_stats_command(app);
  add_sensitivity_command(app);
  add_quantize_command(app);
  add_pack_command(app);
  add_bench_command(app);
  add_tune_command(app);
  add_eval_command(app);
  add_report_command(app);
  add_tokenize_command(app);
}

void spell_out_flags(std::vector<std::string>& arguments) {
  std::map<std::string, std::string> long_forms = {{"-ctk", "--cache-type-k"}, {"-ctv", "--cache-type-v"}};
  if (!arguments.empty() && arguments[0] == "bench")
    long_forms.merge(std::map<std::string, std::string>{
        {"-pg", "--pg"}, {"-ub", "--ubatch-size"}, {"-npl", "--parallel"}});
  for (auto& argument : arguments) {
    if (argument == "--") return;
    if (const auto found = long_forms.find(argument); found != long_forms.end()) argument = found->second;
  }
}

}  // namespace stonechat
