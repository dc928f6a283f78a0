// `stonechat stats`: what `stonechat calibrate` measured, as tables, JSON or a page.
#include <memory>

#include "base/atomic_file.h"
#include "base/error.h"
#include "commands.h"
#include "output_file.h"
#include "stats_report.h"

namespace stonechat {
namespace {

struct StatsOptions {
  std::string file;
  std::string html;
  bool json = false;
};

void show(const StatsOptions& options) {
  const CalibrationStats stats = read_calibration(options.file);
  if (!options.html.empty()) {
    check_no_input(options.html, {options.file});
    write_text_file(options.html, stats_html(stats));
    fmt::print("wrote {}\n", options.html);
    return;
  }
  fmt::print("{}", options.json ? stats_json(stats) : stats_text(stats));
}

}  // namespace

void add_stats_command(Command& app) {
  Command* command = app.add_subcommand("stats", "Show what calibrate measured");
  auto options = std::make_shared<StatsOptions>();
  command->add_option("file", options->file, "A file that 'stonechat calibrate' wrote")->required();
  CommandOption* html = command->add_option("--html", options->html, "Write a page with plots to this file");
  command->add_flag("--json", options->json, "Print one JSON object")->excludes(html);
  command->callback([options] { show(*options); });
}

}  // namespace stonechat
