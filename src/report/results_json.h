// results.json: the figures of a report as docs/report-results.md describes them.
//
// Errors: ErrorKind::kBadFile naming file, field, expected, found.
#pragma once

#include <string>

#include "report/results.h"

namespace stonechat {

// One object, with a line end. Figures must be finite; text that isn't UTF-8 gets replacement characters.
std::string results_json(const ReportResults& results);

// `where` is what errors call the text. Fields that this version doesn't know are ignored, so that a later
// one may add some; those that it knows are checked, and so is that variants, tests and tasks have different
// names and one variant is the reference.
ReportResults parse_results_json(const std::string& text, const std::string& where);

// From a file, or from the results.json of a directory.
ReportResults read_results(const std::string& path);

}  // namespace stonechat
