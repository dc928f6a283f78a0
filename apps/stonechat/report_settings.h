// What a report measures, from the flags of its command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "report/step_plan.h"
#include "report_models.h"

namespace stonechat {

struct ReportOptions {
  std::string model;
  bool quick = false;
  std::string directory;           // empty: NAME-report
  std::string models_directory;    // empty: the cache
  std::vector<std::string> types;  // empty: the default
  uint32_t rounds = 0;             // 0: the default
  std::string text;                // empty: the built-in
  uint32_t window = 0;             // tokens; 0: the default
  uint32_t windows = 0;            // 0: the default
  std::string data;                // of tasks; empty: none
  uint32_t limit = 0;              // questions of a task; 0: the default
  std::vector<std::string> only, redo;
  bool fresh = false;
  bool dry_run = false;
};

// To guess how many tokens a text has: of English.
inline constexpr double kBytesAToken = 4;

// Checked: unknown types are Error{kUsage}; a text or a task's data that can't be read is an error that names
// it, before anything is measured. `directory` is where the report goes, which need not be there.
ReportSettings report_settings(const ReportOptions& options, const ReportModels& models,
                               const std::string& directory);

// Of the variants: "f32" first.
std::vector<std::string> report_types(const ReportOptions& options);

}  // namespace stonechat
