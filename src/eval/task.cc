#include "eval/task.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "eval/records.h"

namespace stonechat {
namespace {

struct Builtin {
  std::string_view name;
  const char* json;
};

constexpr const char* kArc = R"({"name": "arc", "prompts": ["Question: {question}\nAnswer:"],
  "choices": "choices.text", "labels": "choices.label", "answer": "answerKey"})";

constexpr Builtin kBuiltins[] = {
    {"arc_c", kArc},
    {"arc_easy", kArc},
    {"hellaswag",
     R"({"name": "hellaswag", "prompts": ["{activity_label}: {ctx_a} {ctx_b|capitalize}", "{ctx}"],
      "choices": "endings", "answer": "label", "clean": "wikihow"})"},
    {"piqa", R"({"name": "piqa", "prompts": ["Question: {goal}\nAnswer:"], "choices": ["{sol1}", "{sol2}"],
      "answer": "label"})"},
};

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

void check_template(const std::string& pattern, const std::string& file, const std::string& field) {
  for (size_t open = pattern.find('{'); open != std::string::npos; open = pattern.find('{', open + 1)) {
    if (pattern.find('}', open) == std::string::npos)
      fail(ErrorKind::kBadFile, "{}: {}: expected '}}' after '{{'", file, field);
  }
  walk(
      pattern, [](const std::string&) {},
      [&](const std::string&, const std::string& filter) {
        if (!filter.empty() && filter != "strip" && filter != "capitalize")
          fail(ErrorKind::kBadFile, "{}: {}: expected the filter strip or capitalize, found '{}'", file,
               field, filter);
      });
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
        result += filter == "strip" ? stripped(value) : filter == "capitalize" ? capitalized(value) : value;
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

std::vector<std::string> texts_of(const Json& from, const Record& record) {
  std::vector<std::string> texts;
  if (from.is_array()) {
    for (const Json& pattern : from) texts.push_back(filled(pattern.get<std::string>(), record));
    return texts;
  }
  const auto path = from.get<std::string>();
  const Json* list = at_path(record.fields, path);
  if (list == nullptr || !list->is_array()) refuse(record, path, "an array of texts", list);
  for (const Json& one : *list) {
    if (!one.is_string()) refuse(record, path, "an array of texts", list);
    texts.push_back(one.get<std::string>());
  }
  return texts;
}

Question question_of(const TaskDescription& task, const Record& record, size_t index) {
  Question question;
  question.where = record.where;
  const bool has_id = at_path(record.fields, "id") != nullptr;
  question.id = has_id ? scalar_text(record, "id") : std::to_string(index);
  const auto usable = std::find_if(task.prompts.begin(), task.prompts.end(),
                                   [&](const std::string& prompt) { return has_fields(prompt, record); });
  question.prompt = filled(usable == task.prompts.end() ? task.prompts.back() : *usable, record);
  question.choices = texts_of(task.choices, record);
  if (question.choices.size() < 2 || question.choices.size() > kMostChoices)
    refuse(record, "choices", fmt::format("2 to {}", kMostChoices), &record.fields);
  const std::string answer = scalar_text(record, task.answer);
  std::vector<std::string> labels;
  if (task.labels.is_null()) {
    for (size_t i = 0; i < question.choices.size(); ++i) labels.push_back(std::to_string(i));
  } else {
    labels = texts_of(task.labels, record);
  }
  const auto label = std::find(labels.begin(), labels.end(), answer);
  if (label == labels.end() || labels.size() != question.choices.size())
    refuse(record, task.answer, fmt::format("one of the {} choices", question.choices.size()),
           at_path(record.fields, task.answer));
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

std::optional<Json> path_or_templates(const JsonFields& fields, const std::string& key) {
  const Json* value = fields.find(key);
  if (value == nullptr) return std::nullopt;
  const bool texts =
      value->is_array() && value->size() >= 2 &&
      std::all_of(value->begin(), value->end(), [](const Json& one) { return one.is_string(); });
  if (!value->is_string() && !texts) fields.refuse(key, "a path, or an array of at least two texts");
  if (texts) {
    for (const Json& one : *value) check_template(one.get<std::string>(), fields.file(), key);
  }
  return *value;
}

}  // namespace

TaskDescription parse_task(std::string_view json, const std::string& file) {
  const Json object = parse_strict_json(json, file);
  if (!object.is_object())
    fail(ErrorKind::kBadFile, "{}: expected an object, found {}", file, json_text(object));
  const JsonFields fields(object, file);
  for (const auto& [key, value] : object.items()) {
    static constexpr std::string_view kKnown[] = {
        "name",        "prompts",          "choices",        "labels", "answer",
        "description", "target_delimiter", "shot_delimiter", "clean"};
    if (std::find(std::begin(kKnown), std::end(kKnown), key) == std::end(kKnown))
      fail(ErrorKind::kBadFile, "{}: {}: no field of a task", file, printable(key));
  }
  TaskDescription task;
  task.name = fields.get_string("name");
  for (const Json& prompt : fields.get_array("prompts")) {
    if (!prompt.is_string()) fields.refuse("prompts", "an array of texts");
    task.prompts.push_back(prompt.get<std::string>());
    check_template(task.prompts.back(), file, "prompts");
  }
  if (task.prompts.empty()) fields.refuse("prompts", "at least one text");
  const auto choices = path_or_templates(fields, "choices");
  if (!choices) fields.refuse("choices", "a path, or an array of texts");
  task.choices = *choices;
  task.labels = path_or_templates(fields, "labels").value_or(Json());
  task.answer = fields.get_string("answer");
  task.description = fields.find_string("description").value_or("");
  task.target_delimiter = fields.find_string("target_delimiter").value_or(" ");
  task.shot_delimiter = fields.find_string("shot_delimiter").value_or("\n\n");
  if (const auto clean = fields.find_string("clean")) {
    if (*clean != "wikihow") fields.refuse("clean", "\"wikihow\"");
    task.clean_wikihow = true;
  }
  return task;
}

const char* builtin_task(std::string_view name) {
  for (const Builtin& builtin : kBuiltins) {
    if (builtin.name == name) return builtin.json;
  }
  return nullptr;
}

std::vector<Question> read_questions(const TaskDescription& task, const std::string& path) {
  std::vector<Question> questions;
  for (const Record& record : read_records(path))
    questions.push_back(question_of(task, record, questions.size()));
  return questions;
}

std::string shots_text(const TaskDescription& task, std::span<const Question> shots) {
  std::string text = task.description;
  for (const Question& shot : shots)
    text += shot.prompt + task.target_delimiter + shot.choices[shot.gold] + task.shot_delimiter;
  return text;
}

}  // namespace stonechat
