// The files of a report, and its short table on standard output.
#pragma once

#include <string>

#include "report/results.h"

namespace stonechat {

// Writes results.json, report.md and report.html into the directory.
void write_report(const ReportResults& results, const std::string& directory);
// A line for each variant, what is missing, and where the files are.
void print_summary(const ReportResults& results, const std::string& directory);

}  // namespace stonechat
