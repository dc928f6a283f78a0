// results.sqlite: what the steps of a report gave, kept as they end. A report that was interrupted goes on
// from here.
//
//   report(key TEXT PRIMARY KEY, value TEXT)   what all results have in common, and "started"
//   steps(key TEXT PRIMARY KEY, part TEXT, variant TEXT, inputs TEXT, status TEXT ("done" or "failed"),
//         started TEXT (UTC), seconds REAL, output TEXT (JSON), error TEXT)
//   answers(step TEXT, position INTEGER, id TEXT, gold INTEGER, choice INTEGER, choice_norm INTEGER)
//
// Errors: those of base/database.h.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/database.h"
#include "report/step_plan.h"

namespace stonechat {

// What a model answered to one question of a task: indices of choices.
struct ReportAnswer {
  std::string id;
  int64_t gold = 0;
  int64_t choice = 0;
  int64_t choice_norm = 0;  // by likelihood a character

  bool operator==(const ReportAnswer&) const = default;
};

struct StepRecord {
  bool done = false;    // else failed
  std::string started;  // UTC, ISO 8601
  double seconds = 0;
  std::string output;                 // JSON, of what is done
  std::string error;                  // of what failed
  std::vector<ReportAnswer> answers;  // of tasks
};

class ReportState {
 public:
  // Opens or creates the file. `identity` is what all its results have in common, such as {"model", "sha256
  // ..."}: Error{kUsage} naming `directory`, key and both values where the file has another.
  ReportState(const std::string& path, const std::string& directory,
              const std::map<std::string, std::string>& identity, const std::string& now);

  const std::string& started() const { return started_; }  // UTC, ISO 8601

  // Of the steps with these keys and inputs that there is a record of, by key.
  std::map<std::string, StepRecord> records(const std::vector<ReportStep>& steps);
  // Instead of what there is for the step.
  void save(const ReportStep& step, const std::string& variant, const StepRecord& record);
  void forget(ReportPart part);

 private:
  Database database_;
  std::string started_;
};

}  // namespace stonechat
