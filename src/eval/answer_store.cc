#include "eval/answer_store.h"

#include <algorithm>
#include <span>
#include <string_view>

#include "base/error.h"
#include "base/sha256.h"
#include "base/strict_json.h"

namespace stonechat {
namespace {

constexpr std::chrono::seconds kFlushEvery{1};
constexpr size_t kMostWaiting = 100;

constexpr const char* kTables =
    "CREATE TABLE IF NOT EXISTS task_runs(run INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, "
    "task TEXT, subject TEXT, data TEXT, shots INTEGER, model TEXT, model_sha256 TEXT, cache_keys TEXT, "
    "cache_values TEXT, context INTEGER, program TEXT);"
    "CREATE TABLE IF NOT EXISTS task_answers(run INTEGER NOT NULL, question INTEGER NOT NULL, id TEXT, "
    "gold INTEGER, choice INTEGER, choice_norm INTEGER, truncated INTEGER, log_likelihoods TEXT NOT NULL, "
    "PRIMARY KEY(run, question)) WITHOUT ROWID;";

void add(Sha256& hash, std::string_view text) {
  // The size first: neighbours can't be cut differently.
  const std::string size = fmt::format("{}:", text.size());
  hash.update(std::as_bytes(std::span(size)));
  hash.update(std::as_bytes(std::span(text)));
}

ChoiceScores scores_of(const Database::Row& row, size_t choices, const std::string& where) {
  ChoiceScores scores;
  const auto* text = std::get_if<std::string>(&row[1]);
  const auto* truncated = std::get_if<int64_t>(&row[2]);
  const Json values = text == nullptr ? Json() : parse_strict_json(*text, where);
  const bool are_numbers = values.is_array() && std::all_of(values.begin(), values.end(),
                                                            [](const Json& one) { return one.is_number(); });
  if (truncated == nullptr || !are_numbers || values.size() != choices)
    fail(ErrorKind::kBadFile, "{}: log_likelihoods: expected {} numbers, found {}; --fresh begins again",
         where, choices, json_text(values));
  scores.truncated = *truncated != 0;
  scores.log_likelihoods = values.get<std::vector<double>>();
  return scores;
}

}  // namespace

std::string fingerprint(const RunDescription& run, const QuestionSet& set) {
  Sha256 hash;
  add(hash, run.program);
  add(hash, run.model_sha256);
  add(hash, name(run.cache.keys));
  add(hash, name(run.cache.values));
  add(hash, std::to_string(run.context));
  for (size_t index = 0; index < set.questions.size(); ++index) {
    add(hash, std::to_string(set.questions[index].gold));
    for (const ChoiceText& text : set.texts(index)) {
      add(hash, text.context);
      add(hash, text.continuation);
    }
  }
  return hash.hex_digest();
}

AnswerStore::AnswerStore(const std::string& path) : database_(path) {
  database_.execute(kTables);
}

std::vector<int64_t> AnswerStore::open_runs(const RunDescription& run, std::span<const QuestionSet> sets) {
  std::vector<int64_t> runs;
  database_.transaction([&] {
    for (const QuestionSet& set : sets) runs.push_back(open_run(run, set));
  });
  return runs;
}

int64_t AnswerStore::open_run(const RunDescription& run, const QuestionSet& set) {
  const std::string print = fingerprint(run, set);
  database_.query(
      "INSERT OR IGNORE INTO task_runs(fingerprint, task, subject, data, shots, model, model_sha256, "
      "cache_keys, cache_values, context, program) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {print, set.task.name, set.name, set.path, int64_t{set.shots}, run.model, run.model_sha256,
       std::string(name(run.cache.keys)), std::string(name(run.cache.values)), int64_t{run.context},
       run.program});
  return std::get<int64_t>(
      database_.query("SELECT run FROM task_runs WHERE fingerprint = ?", {print}).at(0).at(0));
}

void AnswerStore::forget(int64_t run) {
  database_.query("DELETE FROM task_answers WHERE run = ?", {run});
}

std::map<size_t, Answer> AnswerStore::answers(int64_t run, const QuestionSet& set) {
  std::map<size_t, Answer> answers;
  for (const Database::Row& row : database_.query(
           "SELECT question, log_likelihoods, truncated FROM task_answers WHERE run = ? ORDER BY question",
           {run})) {
    const auto* number = std::get_if<int64_t>(&row[0]);
    if (number == nullptr || *number < 0 || static_cast<uint64_t>(*number) >= set.questions.size())
      fail(ErrorKind::kBadFile, "{}: task_answers: question: expected 0 to {}; --fresh begins again",
           database_.path(), set.questions.size() - 1);
    const auto index = static_cast<size_t>(*number);
    const Question& question = set.questions[index];
    const std::string where =
        fmt::format("{}: task_answers: run {}, question {}", database_.path(), run, index);
    answers[index] = answer_of(question, scores_of(row, question.choices.size(), where));
  }
  return answers;
}

void AnswerStore::add(int64_t run, size_t index, const Question& question, const Answer& answer) {
  waiting_.push_back({run, static_cast<int64_t>(index), question.id, int64_t{question.gold},
                      static_cast<int64_t>(answer.choice), static_cast<int64_t>(answer.choice_norm),
                      int64_t{answer.scores.truncated}, dump_json(Json(answer.scores.log_likelihoods))});
  const bool is_late = std::chrono::steady_clock::now() - flushed_ >= kFlushEvery;
  if (is_late || waiting_.size() >= kMostWaiting) flush();
}

void AnswerStore::flush() {
  database_.transaction([&] {
    for (const auto& row : waiting_)
      database_.query("INSERT OR REPLACE INTO task_answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row);
  });
  waiting_.clear();
  flushed_ = std::chrono::steady_clock::now();
}

}  // namespace stonechat
