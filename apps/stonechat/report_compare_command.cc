// `stonechat report compare`: two reports side by side.
#include <memory>

#include "base/error.h"
#include "commands.h"
#include "report/compare.h"
#include "report/results_json.h"

namespace stonechat {
namespace {

struct CompareOptions {
  std::string a;
  std::string b;
};

void compare(const CompareOptions& options) {
  const ReportResults a = read_results(options.a);
  const ReportResults b = read_results(options.b);
  fmt::print("{}", compare_results(a, b, options.a, options.b));
}

}  // namespace

void add_report_compare(Command& report) {
  Command* command = report.add_subcommand("compare", "Set two reports side by side, as Markdown");
  auto options = std::make_shared<CompareOptions>();
  command->add_option("a", options->a, "A report's directory, or its results.json")->required();
  command->add_option("b", options->b, "Another one; changes are from the first to this")->required();
  command->callback([options] { compare(*options); });
}

}  // namespace stonechat
