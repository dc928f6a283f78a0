// Multiple-choice tasks: how a data file's records become questions, and how questions become prompts.
//
// A task is a JSON object, as the built-in tasks in task.cc are. Their prompts are those of
// lm-evaluation-harness 0.4.13. Errors: ErrorKind::kBadFile naming file, line (or record) and field.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/strict_json.h"

namespace stonechat {

struct TaskDescription {
  std::string name;
  std::vector<std::string> prompts;  // templates; of each record the first whose fields are there
  Json choices;                      // a path to an array of texts, or an array of templates
  std::string answer;                // path of the right choice: its label, or its index where there are none
  Json labels;                       // a path, or an array of texts; null: the answer is an index from 0
  std::string description;           // a text before the shots
  std::string target_delimiter = " ";
  std::string shot_delimiter = "\n\n";
  bool clean_wikihow = false;  // takes HellaSwag's marks out of prompts and choices
};

// `file` is what errors call the text.
TaskDescription parse_task(std::string_view json, const std::string& file);
// nullptr when there is no task of that name.
const char* builtin_task(std::string_view name);

// Each choice has a cache of its own.
inline constexpr size_t kMostChoices = 26;

struct Question {
  std::string id;     // the record's, or its index
  std::string where;  // "FILE:LINE"
  std::string prompt;
  std::vector<std::string> choices;  // 2 to kMostChoices
  uint32_t gold = 0;
};

// Of a .csv file with a header line, or else of JSON lines.
std::vector<Question> read_questions(const TaskDescription& task, const std::string& path);

// What stands before a question: the description and the shots with their answers.
std::string shots_text(const TaskDescription& task, std::span<const Question> shots);

}  // namespace stonechat
