// Questions that share their shots: those of a task, or of one of C-Eval's subjects.
//
// Errors: as task.h; ErrorKind::kUsage for shots that there aren't, an unknown subject, or a directory that
// isn't C-Eval's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/task.h"

namespace stonechat {

struct ShotOptions {
  uint32_t shots = 0;
  std::string file;              // to take them from; empty: the questions' own
  std::optional<uint64_t> seed;  // draws them; without one they are that file's first
};

struct QuestionSet {
  std::string name;  // the subject, or empty
  std::string path;
  std::string shots_path;  // empty: shots are the questions' own
  Task task;
  std::vector<Question> questions;
  uint32_t shots = 0;
  std::vector<Question> examples;  // of shots_path
  // Indices into them. Of questions one more than shots, for the question that is a shot itself: all so share
  // their shots, which are computed once.
  std::vector<size_t> drawn;

  std::vector<ChoiceText> texts(size_t index) const;
};

QuestionSet read_question_set(const Task& task, const std::string& path, const ShotOptions& shots);

// Of the subjects named, or of all. The directory has val/SUBJECT_val.csv and, for shots,
// dev/SUBJECT_dev.csv.
std::vector<QuestionSet> read_ceval(const std::string& directory, std::span<const std::string> subjects,
                                    const ShotOptions& shots);

}  // namespace stonechat
