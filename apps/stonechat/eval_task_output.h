// How `stonechat eval` shows the answers to multiple-choice questions.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "eval/answer.h"
#include "eval/question_set.h"

namespace stonechat {

// One question's line of --samples-out, with its line end.
std::string sample_line(const QuestionSet& set, size_t index, const Answer& answer);

struct TaskResult {
  std::string model, data;  // as the user named them
  ShotOptions shots;
  uint32_t context = 0;
  // One a set of questions.
  std::vector<std::string> names;
  std::vector<std::vector<Answer>> answers;
  uint64_t resumed = 0;  // answers that an earlier run gave
  uint64_t tokens = 0;   // of the others, counted as if each choice was computed alone
  double seconds = 0;    // for the others
};

void print_task_text(const std::string& task, const TaskResult& result);
void print_task_json(const std::string& task, const TaskResult& result);

}  // namespace stonechat
