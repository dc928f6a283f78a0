// `stonechat report compare`: two results side by side.
#pragma once

#include <string>

#include "report/document.h"
#include "report/results.h"

namespace stonechat {

// Figures of `a`, of `b` and the change, variant by variant; a change that its interval of 95 % tells from
// noise is marked. What makes the two hard to compare (another machine, model or version) comes first.
Document compare_document(const ReportResults& a, const ReportResults& b, const std::string& a_name,
                          const std::string& b_name);

// As Markdown.
std::string compare_results(const ReportResults& a, const ReportResults& b, const std::string& a_name = "A",
                            const std::string& b_name = "B");

}  // namespace stonechat
