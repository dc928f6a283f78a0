// Multiple-choice tasks: how a data file's records become questions, and how questions become prompts.
//
// Prompts are those of lm-evaluation-harness 0.4.13. Errors: ErrorKind::kBadFile naming file, line and field.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/text_template.h"

namespace stonechat {

// What ends in _path names a field of records (records.h).
struct Task {
  std::string name;
  std::optional<TextTemplate> description = {};  // stands before the shots
  std::vector<TextTemplate> prompts;             // of each record the first whose fields are there; not empty
  std::string choices_path = {};  // of an array of texts; empty: choice_templates are the choices
  std::vector<TextTemplate> choice_templates = {};
  // How every choice goes on. With it, choices are the end of the prompt, and this is what gets a likelihood.
  std::optional<TextTemplate> ending = {};
  std::string labels_path = {};          // of an array of texts
  std::vector<std::string> labels = {};  // without both the answer is an index from 0
  std::string answer_path;               // of the right choice's label or index
  std::string target_delimiter = " ";    // before what gets a likelihood
  bool clean_wikihow = false;            // takes HellaSwag's marks out of prompts and choices
};

// After a shot.
inline constexpr std::string_view kShotDelimiter = "\n\n";

// Each choice has a cache of its own.
inline constexpr size_t kMostChoices = 26;

struct Question {
  std::string id;     // the record's, or its index
  std::string where;  // "FILE:LINE"
  std::string description;
  std::string prompt;
  std::vector<std::string> choices;  // 2 to kMostChoices
  std::string ending;                // empty unless the task has one
  uint32_t gold = 0;
};

// Of a .csv file with a header line, or else of JSON lines.
std::vector<Question> read_questions(const Task& task, const std::string& path);

// What a choice's likelihood is of: the continuation, after the context.
struct ChoiceText {
  std::string context;
  std::string continuation;
};

// Of all choices of a question that comes after the shots.
std::vector<ChoiceText> choice_texts(const Task& task, std::span<const Question> shots,
                                     const Question& question);

}  // namespace stonechat
