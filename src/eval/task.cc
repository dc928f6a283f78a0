#include "eval/task.h"

#include <algorithm>

#include "base/error.h"
#include "eval/records.h"

namespace stonechat {
namespace {

void replace_all(std::string& text, std::string_view what, std::string_view by) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
}

std::string without_marks(const std::string& marked) {
  std::string text(stripped(marked));
  replace_all(text, " [title]", ". ");
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const size_t close = text[at] == '[' ? text.find(']', at) : std::string::npos;
    // A mark doesn't go over a line end.
    if (close != std::string::npos && text.find('\n', at) > close) {
      at = close + 1;
    } else {
      result += text[at++];
    }
  }
  // From left to right, each pair once.
  std::string single;
  for (size_t at = 0; at < result.size(); ++at) {
    single += result[at];
    if (result.compare(at, 2, "  ") == 0) ++at;
  }
  return single;
}

std::vector<std::string> choices_of(const Task& task, const Record& record) {
  if (!task.choices_path.empty()) return texts_field(record, task.choices_path);
  std::vector<std::string> choices;
  for (const TextTemplate& choice : task.choice_templates) choices.push_back(choice.fill(record));
  return choices;
}

std::vector<std::string> labels_of(const Task& task, const Record& record, size_t choices) {
  if (!task.labels_path.empty()) return texts_field(record, task.labels_path);
  if (!task.labels.empty()) return task.labels;
  std::vector<std::string> numbers;
  for (size_t i = 0; i < choices; ++i) numbers.push_back(std::to_string(i));
  return numbers;
}

Question question_of(const Task& task, const Record& record, size_t index) {
  Question question;
  question.where = record.where;
  question.id = find_field(record, "id") != nullptr ? text_field(record, "id") : std::to_string(index);
  if (task.description) question.description = task.description->fill(record);
  const auto usable = std::find_if(task.prompts.begin(), task.prompts.end(),
                                   [&](const TextTemplate& prompt) { return prompt.has_fields(record); });
  question.prompt = (usable == task.prompts.end() ? task.prompts.back() : *usable).fill(record);
  question.choices = choices_of(task, record);
  const size_t choices = question.choices.size();
  if (choices < 2 || choices > kMostChoices)
    fail(ErrorKind::kBadFile, "{}: choices: expected 2 to {}, found {}", record.where, kMostChoices, choices);
  const std::vector<std::string> labels = labels_of(task, record, choices);
  const auto label = std::find(labels.begin(), labels.end(), text_field(record, task.answer_path));
  if (label == labels.end() || labels.size() != choices) {
    refuse_field(record, task.answer_path,
                 fmt::format("one of the {} choices' labels {}", choices, fmt::join(labels, ", ")));
  }
  question.gold = static_cast<uint32_t>(label - labels.begin());
  if (task.clean_wikihow) {
    question.prompt = without_marks(question.prompt);
    for (std::string& choice : question.choices) choice = without_marks(choice);
  }
  for (size_t i = 0; i < choices; ++i) {
    if (question.choices[i].empty())
      fail(ErrorKind::kBadFile, "{}: choices: number {} is empty", record.where, i + 1);
  }
  if (task.ending) {
    question.ending = task.ending->fill(record);
    if (question.ending.empty())
      fail(ErrorKind::kBadFile, "{}: nothing is left after the choices", record.where);
  }
  return question;
}

ChoiceText choice_text(const Task& task, const std::string& before, const Question& question,
                       const std::string& choice) {
  if (task.ending) return {before + question.prompt + choice, task.target_delimiter + question.ending};
  return {before + question.prompt, task.target_delimiter + choice};
}

}  // namespace

std::vector<Question> read_questions(const Task& task, const std::string& path) {
  std::vector<Question> questions;
  for (const Record& record : read_records(path))
    questions.push_back(question_of(task, record, questions.size()));
  return questions;
}

std::vector<ChoiceText> choice_texts(const Task& task, std::span<const Question> shots,
                                     const Question& question) {
  std::string before = question.description;
  for (const Question& shot : shots) {
    const ChoiceText text = choice_text(task, "", shot, shot.choices[shot.gold]);
    before.append(text.context).append(text.continuation).append(kShotDelimiter);
  }
  std::vector<ChoiceText> texts;
  for (const std::string& choice : question.choices)
    texts.push_back(choice_text(task, before, question, choice));
  return texts;
}

}  // namespace stonechat
