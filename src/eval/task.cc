#include "eval/task.h"

#include <algorithm>

#include "base/error.h"
#include "eval/records.h"

namespace stonechat {
namespace {

// The value at "a.b", or nullptr.
const Json* at_path(const Json& fields, std::string_view path) {
  const Json* value = &fields;
  while (!path.empty()) {
    const size_t dot = std::min(path.find('.'), path.size());
    const auto found = value->is_object() ? value->find(std::string(path.substr(0, dot))) : value->end();
    if (!value->is_object() || found == value->end() || found->is_null()) return nullptr;
    value = &*found;
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return value;
}

[[noreturn]] void refuse(const Record& record, std::string_view field, std::string_view expected,
                         const Json* found) {
  fail(ErrorKind::kBadFile, "{}: {}: expected {}, found {}", record.where, field, expected,
       found == nullptr ? "nothing" : json_text(*found));
}

std::string scalar_text(const Record& record, std::string_view path) {
  const Json* value = at_path(record.fields, path);
  if (value != nullptr && value->is_string()) return value->get<std::string>();
  if (value != nullptr && value->is_number_integer()) return value->dump();
  refuse(record, path, "a text", value);
}

std::string stripped(const std::string& text) {
  constexpr const char* kBlank = " \t\r\n\f\v";
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) + 1 - begin);
}

// Of ASCII letters; others stay.
std::string capitalized(std::string text) {
  for (size_t i = 0; i < text.size(); ++i) {
    char& c = text[i];
    if (i == 0 && c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (i != 0 && c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

// The pieces of a template: text, and {field} or {field|filter}.
template <typename OnText, typename OnField>
void walk(const std::string& pattern, OnText&& on_text, OnField&& on_field) {
  for (size_t at = 0; at < pattern.size();) {
    const size_t open = std::min(pattern.find('{', at), pattern.size());
    on_text(pattern.substr(at, open - at));
    if (open == pattern.size()) return;
    const size_t close = pattern.find('}', open);
    const std::string inside = pattern.substr(open + 1, close - open - 1);
    const size_t bar = std::min(inside.find('|'), inside.size());
    on_field(inside.substr(0, bar), inside.substr(std::min(bar + 1, inside.size())));
    at = close + 1;
  }
}

bool has_fields(const std::string& pattern, const Record& record) {
  bool all = true;
  walk(
      pattern, [](const std::string&) {},
      [&](const std::string& path, const std::string&) {
        all = all && at_path(record.fields, path) != nullptr;
      });
  return all;
}

std::string filled(const std::string& pattern, const Record& record) {
  std::string result;
  walk(
      pattern, [&](const std::string& text) { result += text; },
      [&](const std::string& path, const std::string& filter) {
        const std::string value = scalar_text(record, path);
        result += filter == "capitalize" ? capitalized(value) : value;
      });
  return result;
}

void replace_all(std::string& text, std::string_view what, std::string_view by) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
}

std::string without_marks(const std::string& marked) {
  std::string text = stripped(marked);
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

std::vector<std::string> texts_at(const std::string& path, const Record& record) {
  std::vector<std::string> texts;
  const Json* list = at_path(record.fields, path);
  if (list == nullptr || !list->is_array()) refuse(record, path, "an array of texts", list);
  for (const Json& one : *list) {
    if (!one.is_string()) refuse(record, path, "an array of texts", list);
    texts.push_back(one.get<std::string>());
  }
  return texts;
}

std::vector<std::string> choices_of(const Task& task, const Record& record) {
  if (!task.choices_path.empty()) return texts_at(task.choices_path, record);
  std::vector<std::string> choices;
  for (const std::string& pattern : task.choice_templates) choices.push_back(filled(pattern, record));
  return choices;
}

Question question_of(const Task& task, const Record& record, size_t index) {
  Question question;
  question.where = record.where;
  const bool has_id = at_path(record.fields, "id") != nullptr;
  question.id = has_id ? scalar_text(record, "id") : std::to_string(index);
  const auto usable = std::find_if(task.prompts.begin(), task.prompts.end(),
                                   [&](const std::string& prompt) { return has_fields(prompt, record); });
  question.prompt = filled(usable == task.prompts.end() ? task.prompts.back() : *usable, record);
  question.choices = choices_of(task, record);
  if (question.choices.size() < 2 || question.choices.size() > kMostChoices)
    refuse(record, "choices", fmt::format("2 to {}", kMostChoices), &record.fields);
  const std::string answer = scalar_text(record, task.answer_path);
  std::vector<std::string> labels;
  if (task.labels_path.empty()) {
    for (size_t i = 0; i < question.choices.size(); ++i) labels.push_back(std::to_string(i));
  } else {
    labels = texts_at(task.labels_path, record);
  }
  const auto label = std::find(labels.begin(), labels.end(), answer);
  if (label == labels.end() || labels.size() != question.choices.size())
    refuse(record, task.answer_path, fmt::format("one of the {} choices", question.choices.size()),
           at_path(record.fields, task.answer_path));
  question.gold = static_cast<uint32_t>(label - labels.begin());
  if (task.clean_wikihow) {
    question.prompt = without_marks(question.prompt);
    for (std::string& choice : question.choices) choice = without_marks(choice);
  }
  for (const std::string& choice : question.choices) {
    if (choice.empty()) refuse(record, "choices", "no empty choice", &record.fields);
  }
  return question;
}

}  // namespace

std::span<const Task> builtin_tasks() {
  static const std::vector<std::string> kArcPrompts = {"Question: {question}\nAnswer:"};
  static const Task kTasks[] = {
      {.name = "arc_c",
       .prompts = kArcPrompts,
       .choices_path = "choices.text",
       .labels_path = "choices.label",
       .answer_path = "answerKey"},
      {.name = "arc_easy",
       .prompts = kArcPrompts,
       .choices_path = "choices.text",
       .labels_path = "choices.label",
       .answer_path = "answerKey"},
      {.name = "hellaswag",
       .prompts = {"{activity_label}: {ctx_a} {ctx_b|capitalize}", "{ctx}"},
       .choices_path = "endings",
       .answer_path = "label",
       .clean_wikihow = true},
      {.name = "piqa",
       .prompts = {"Question: {goal}\nAnswer:"},
       .choice_templates = {"{sol1}", "{sol2}"},
       .answer_path = "label"},
  };
  return kTasks;
}

std::vector<Question> read_questions(const Task& task, const std::string& path) {
  std::vector<Question> questions;
  for (const Record& record : read_records(path))
    questions.push_back(question_of(task, record, questions.size()));
  return questions;
}

std::string shots_text(std::span<const Question> shots) {
  std::string text;
  for (const Question& shot : shots)
    text.append(shot.prompt).append(kTargetDelimiter).append(shot.choices[shot.gold]).append(kShotDelimiter);
  return text;
}

}  // namespace stonechat
