// Multiple-choice tasks: how a data file's records become questions, and how questions become prompts.
//
// Prompts are those of lm-evaluation-harness 0.4.13. Errors: ErrorKind::kBadFile naming file, line and field.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stonechat {

// Fields of records are named by paths, "choices.text"; a template is a text with {PATH}, or
// {PATH|capitalize}, in it.
struct Task {
  std::string name;
  std::vector<std::string> prompts;  // templates; of each record the first whose fields are there
  std::string choices_path = {};     // of an array of texts; empty: choice_templates are the choices
  std::vector<std::string> choice_templates = {};
  std::string labels_path = {};  // of an array of texts; empty: the answer is an index from 0
  std::string answer_path;       // of the right choice's label or index
  bool clean_wikihow = false;    // takes HellaSwag's marks out of prompts and choices
};

std::span<const Task> builtin_tasks();

// Between a prompt and its choice, and after a shot.
inline constexpr std::string_view kTargetDelimiter = " ";
inline constexpr std::string_view kShotDelimiter = "\n\n";

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
std::vector<Question> read_questions(const Task& task, const std::string& path);

// What stands before a question: the shots with their answers.
std::string shots_text(std::span<const Question> shots);

}  // namespace stonechat
