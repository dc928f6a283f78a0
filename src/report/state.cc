#include "report/state.h"

#include "base/error.h"

namespace stonechat {
namespace {

constexpr int64_t kSchema = 1;

constexpr const char* kTables =
    "CREATE TABLE report(key TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE steps(key TEXT PRIMARY KEY, part TEXT NOT NULL, variant TEXT NOT NULL, inputs TEXT NOT "
    "NULL, status TEXT NOT NULL, started TEXT NOT NULL, seconds REAL NOT NULL, output TEXT NOT NULL, error "
    "TEXT NOT NULL);"
    "CREATE TABLE answers(step TEXT NOT NULL REFERENCES steps(key), position INTEGER NOT NULL, id TEXT NOT "
    "NULL, gold INTEGER NOT NULL, choice INTEGER NOT NULL, choice_norm INTEGER NOT NULL, PRIMARY KEY(step, "
    "position));";

template <typename T>
const T& get(const Database::Row& row, size_t column, const std::string& path) {
  const T* value = column < row.size() ? std::get_if<T>(&row[column]) : nullptr;
  if (value == nullptr)
    fail(ErrorKind::kBadFile, "{}: expected a value of another type in column {} of a row", path, column + 1);
  return *value;
}

const std::string& text(const Database::Row& row, size_t column, const std::string& path) {
  return get<std::string>(row, column, path);
}

}  // namespace

ReportState::ReportState(const std::string& path, const std::string& directory,
                         const std::map<std::string, std::string>& identity, const std::string& now)
    : database_(path), started_(now) {
  database_.transaction([&] {
    const auto schema = get<int64_t>(database_.query("PRAGMA user_version").at(0), 0, path);
    if (schema == 0) {  // a new file
      database_.execute(kTables);
      database_.execute("PRAGMA user_version = " + std::to_string(kSchema));
      for (const auto& [key, value] : identity)
        database_.query("INSERT INTO report VALUES(?, ?)", {key, value});
      database_.query("INSERT INTO report VALUES('started', ?)", {now});
    } else if (schema != kSchema) {
      fail(ErrorKind::kBadFile, "{}: expected a report's results of schema {}, found {}", path, kSchema,
           schema);
    }
  });
  std::map<std::string, std::string> stored;
  for (const Database::Row& row : database_.query("SELECT key, value FROM report"))
    stored[text(row, 0, path)] = text(row, 1, path);
  for (const auto& [key, value] : identity) {
    if (stored[key] != value) {
      fail(ErrorKind::kUsage,
           "{}: has the results of another {}: '{}', this is '{}'; give another directory, or --fresh to "
           "begin anew there",
           directory, key, stored[key], value);
    }
  }
  started_ = stored["started"];
}

std::map<std::string, StepRecord> ReportState::records(const std::vector<ReportStep>& steps) {
  const std::string& path = database_.path();
  std::map<std::string, StepRecord> records;
  for (const ReportStep& step : steps) {
    const auto rows = database_.query(
        "SELECT status, started, seconds, output, error FROM steps WHERE key = ? AND inputs = ?",
        {step.key, step.inputs});
    if (rows.empty()) continue;
    const Database::Row& row = rows[0];
    StepRecord record{text(row, 0, path) == "done", text(row, 1, path), get<double>(row, 2, path),
                      text(row, 3, path),           text(row, 4, path), {}};
    for (const auto& answer :
         database_.query("SELECT id, gold, choice, choice_norm FROM answers WHERE step = ? ORDER BY position",
                         {step.key})) {
      record.answers.push_back({text(answer, 0, path), get<int64_t>(answer, 1, path),
                                get<int64_t>(answer, 2, path), get<int64_t>(answer, 3, path)});
    }
    records[step.key] = std::move(record);
  }
  return records;
}

void ReportState::save(const ReportStep& step, const std::string& variant, const StepRecord& record) {
  database_.transaction([&] {
    database_.query("DELETE FROM answers WHERE step = ?", {step.key});
    database_.query("INSERT OR REPLACE INTO steps VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    {step.key, std::string(name(step.part)), variant, step.inputs,
                     std::string(record.done ? "done" : "failed"), record.started, record.seconds,
                     record.output, record.error});
    for (size_t i = 0; i < record.answers.size(); ++i) {
      const ReportAnswer& answer = record.answers[i];
      database_.query(
          "INSERT INTO answers VALUES(?, ?, ?, ?, ?, ?)",
          {step.key, static_cast<int64_t>(i), answer.id, answer.gold, answer.choice, answer.choice_norm});
    }
  });
}

void ReportState::forget(ReportPart part) {
  database_.transaction([&] {
    database_.query("DELETE FROM answers WHERE step IN (SELECT key FROM steps WHERE part = ?)",
                    {std::string(name(part))});
    database_.query("DELETE FROM steps WHERE part = ?", {std::string(name(part))});
  });
}

}  // namespace stonechat
