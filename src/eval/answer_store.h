// Answers kept in a SQLite file as they come, so that an interrupted run goes on where it stopped.
//
// Answers belong together when all that they depend on is the same: fingerprint() says what that is. Tables
// task_runs (what was asked of whom) and task_answers (one row a question) may share a file with others.
// Errors: as base/database.h; ErrorKind::kBadFile for an answer that isn't one.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/database.h"
#include "eval/answer.h"
#include "eval/question_set.h"
#include "model/kv_cache.h"

namespace stonechat {

struct RunDescription {
  std::string program;       // its version
  std::string model;         // path, for people
  std::string model_sha256;  // of the file
  CacheFormats cache;
  uint32_t context = 0;
};

// SHA-256 of the model's hash, the cache's formats, the context, the program's version, and the texts and
// right choices of all questions. So neither paths nor how many questions are asked matter, nor threads,
// kernels and tuning, which change no bit of an answer.
std::string fingerprint(const RunDescription& run, const QuestionSet& set);

class AnswerStore {
 public:
  // Opens the file, or creates it.
  explicit AnswerStore(const std::string& path);

  // The numbers of the runs with this description, one a set of questions, begun if need be.
  std::vector<int64_t> open_runs(const RunDescription& run, std::span<const QuestionSet> sets);
  // Throws away its answers.
  void forget(int64_t run);
  // Its answers, by question.
  std::map<size_t, Answer> answers(int64_t run, const QuestionSet& set);

  // Goes into the file within a second of more answers that come, or with flush().
  void add(int64_t run, size_t index, const Question& question, const Answer& answer);
  void flush();

 private:
  int64_t open_run(const RunDescription& run, const QuestionSet& set);

  Database database_;
  std::vector<std::vector<Database::Value>> waiting_;
  std::chrono::steady_clock::time_point flushed_ = std::chrono::steady_clock::now();
};

}  // namespace stonechat
