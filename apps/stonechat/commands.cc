#include "commands.h"

namespace stonechat {

void add_commands(CLI::App& app) {
  add_pull_command(app);
  add_run_command(app);
  add_chat_command(app);
  add_inspect_command(app);
  add_convert_command(app);
  add_quantize_command(app);
  add_pack_command(app);
  add_bench_command(app);
  add_tune_command(app);
  add_eval_command(app);
  add_tokenize_command(app);
}

}  // namespace stonechat
