#include "eval/task_file.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/strict_json.h"

namespace stonechat {
namespace {

constexpr std::array<std::string_view, 9> kKeys = {"name",    "description",      "prompt",
                                                   "choices", "ending",           "labels",
                                                   "answer",  "target_delimiter", "clean_wikihow"};

TextTemplate template_at(const JsonFields& fields, const std::string& key) {
  return TextTemplate(fields.get_string(key), fields.file() + ": " + key);
}

// The texts of an array; nothing when it is something else.
std::vector<std::string> texts_at(const JsonFields& fields, const std::string& key) {
  const Json* value = fields.find(key);
  std::vector<std::string> texts;
  if (value == nullptr || !value->is_array()) return texts;
  for (const Json& one : *value) {
    if (!one.is_string()) fields.refuse(key, "texts");
    texts.push_back(one.get<std::string>());
  }
  if (texts.empty()) fields.refuse(key, "at least one text");
  return texts;
}

std::vector<TextTemplate> templates_at(const JsonFields& fields, const std::string& key) {
  std::vector<TextTemplate> templates;
  for (const std::string& text : texts_at(fields, key))
    templates.emplace_back(text, fields.file() + ": " + key);
  return templates;
}

// A key whose value is an array, or else a text that names a field of records.
bool is_array(const JsonFields& fields, const std::string& key) {
  const Json* value = fields.find(key);
  return value != nullptr && value->is_array();
}

std::string field_name(const JsonFields& fields, const std::string& key) {
  std::string name = fields.get_string(key);
  if (name.empty()) fields.refuse(key, "a field's name");
  return name;
}

}  // namespace

Task read_task_file(const std::string& path) {
  const Json json = read_json_object(path);
  const JsonFields fields(json, path);
  for (const auto& [key, value] : json.items()) {
    if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end())
      fail(ErrorKind::kBadFile, "{}: {}: not a key of task files; they are {}", path, key,
           fmt::join(kKeys, ", "));
  }
  Task task;
  task.name = fields.get_string("name");
  if (task.name.empty()) fields.refuse("name", "a text that isn't empty");
  if (fields.find("description") != nullptr) task.description = template_at(fields, "description");
  if (is_array(fields, "prompt")) {
    task.prompts = templates_at(fields, "prompt");
  } else {
    task.prompts = {template_at(fields, "prompt")};
  }
  if (is_array(fields, "choices")) {
    task.choice_templates = templates_at(fields, "choices");
    if (task.choice_templates.size() < 2 || task.choice_templates.size() > kMostChoices)
      fields.refuse("choices", fmt::format("2 to {} templates", kMostChoices));
  } else {
    task.choices_path = field_name(fields, "choices");
  }
  if (fields.find("ending") != nullptr) task.ending = template_at(fields, "ending");
  if (is_array(fields, "labels")) {
    task.labels = texts_at(fields, "labels");
    if (!task.choice_templates.empty() && task.labels.size() != task.choice_templates.size())
      fields.refuse("labels", fmt::format("as many as choices, {}", task.choice_templates.size()));
  } else if (fields.find("labels") != nullptr) {
    task.labels_path = field_name(fields, "labels");
  }
  task.answer_path = field_name(fields, "answer");
  task.target_delimiter = fields.find_string("target_delimiter").value_or(task.target_delimiter);
  task.clean_wikihow = fields.find_bool("clean_wikihow").value_or(false);
  return task;
}

}  // namespace stonechat
