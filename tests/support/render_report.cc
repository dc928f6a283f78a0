// Writes a report to stdout as `stonechat report` writes it to files:
//
//   render_report html|md|json [RESULTS]
//
// from a results.json, or from the made-up figures of sample_results.h.
#include <fmt/format.h>

#include <cstdio>

#include "base/error.h"
#include "report/report.h"
#include "report/results_json.h"
#include "sample_results.h"

int main(int count, char** arguments) {
  using namespace stonechat;
  try {
    if (count != 2 && count != 3) fail(ErrorKind::kUsage, "expected html, md or json, and a results.json");
    const ReportResults results = count == 3 ? read_results(arguments[2]) : sample_results();
    const std::string kind = arguments[1];
    fmt::print("{}", kind == "html" ? html_report(results)
                     : kind == "md" ? markdown_report(results)
                                    : results_json(results));
    return 0;
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
