// report.md and report.html: a report's results as a person reads them.
#pragma once

#include <string>

#include "report/document.h"
#include "report/results.h"

namespace stonechat {

// `results` has at least one variant, of which one is the reference.
Document report_document(const ReportResults& results);

std::string markdown_report(const ReportResults& results);
std::string html_report(const ReportResults& results);

}  // namespace stonechat
