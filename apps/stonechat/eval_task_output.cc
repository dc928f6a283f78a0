#include "eval_task_output.h"

#include <fmt/format.h>

#include "base/json.h"

namespace stonechat {
namespace {

std::vector<Answer> all_answers(const TaskResult& result) {
  std::vector<Answer> all;
  for (const auto& answers : result.answers) all.insert(all.end(), answers.begin(), answers.end());
  return all;
}

std::vector<Accuracy> by_set(const TaskResult& result) {
  std::vector<Accuracy> sets;
  for (const auto& answers : result.answers) sets.push_back(accuracy(answers));
  return sets;
}

uint64_t truncated(const std::vector<Answer>& answers) {
  uint64_t count = 0;
  for (const Answer& answer : answers) count += answer.scores.truncated ? 1 : 0;
  return count;
}

void add_accuracy(OrderedJson& json, const Accuracy& accuracy, const std::string& end = "") {
  json["acc" + end] = accuracy.acc.mean;
  json["acc" + end + "_stderr"] = accuracy.acc.standard_error;
  json["acc_norm" + end] = accuracy.acc_norm.mean;
  json["acc_norm" + end + "_stderr"] = accuracy.acc_norm.standard_error;
}

}  // namespace

std::string sample_line(const QuestionSet& set, size_t index, const Answer& answer) {
  const Question& question = set.questions[index];
  std::string prompt = set.texts(index)[0].context;
  // Where choices have an ending they are a part of the context.
  if (set.task.ending) prompt.resize(prompt.size() - question.choices[0].size());
  OrderedJson json = {{"task", set.task.name}};
  if (!set.name.empty()) json["subject"] = set.name;
  json["shots"] = set.shots;
  json["id"] = question.id;
  json["prompt"] = prompt;
  json["choices"] = question.choices;
  if (set.task.ending) json["ending"] = question.ending;
  json["gold"] = question.gold;
  json["choice"] = answer.choice;
  json["choice_norm"] = answer.choice_norm;
  json["truncated"] = answer.scores.truncated;
  json["log_likelihoods"] = answer.scores.log_likelihoods;
  return dump_json(json) + "\n";
}

void print_task_text(const std::string& task, const TaskResult& result) {
  const std::vector<Answer> all = all_answers(result);
  const Accuracy total = accuracy(all);
  fmt::print("{}: {} questions, {} shots\n", task, all.size(), result.shots.shots);
  const std::vector<Accuracy> sets = by_set(result);
  const auto line = [](std::string_view name, const Accuracy& part) {
    fmt::print("{:42} {:5}  {:.4f} +- {:.4f}  {:.4f} +- {:.4f}\n", name, part.questions, part.acc.mean,
               part.acc.standard_error, part.acc_norm.mean, part.acc_norm.standard_error);
  };
  if (result.names[0].empty()) {
    fmt::print("acc       {:.4f} +- {:.4f}\nacc_norm  {:.4f} +- {:.4f}\n", total.acc.mean,
               total.acc.standard_error, total.acc_norm.mean, total.acc_norm.standard_error);
  } else {
    fmt::print("{:42} {:>5}  {:16}  {}\n", "subject", "count", "acc", "acc_norm");
    for (size_t i = 0; i < sets.size(); ++i) line(result.names[i], sets[i]);
    line("all subjects alike (macro)", macro_average(sets));
    line("all questions alike (micro)", total);
  }
  if (const uint64_t count = truncated(all); count != 0)
    fmt::print("{} prompts lost their beginning: context {}\n", count, result.context);
}

void print_task_json(const std::string& task, const TaskResult& result) {
  const std::vector<Answer> all = all_answers(result);
  OrderedJson json = {{"task", task},
                      {"model", result.model},
                      {"data", result.data},
                      {"shots", result.shots.shots},
                      {"shots_file", result.shots.file},
                      {"seed", nullptr},
                      {"questions", all.size()}};
  if (result.shots.seed) json["seed"] = *result.shots.seed;
  add_accuracy(json, accuracy(all));
  if (!result.names[0].empty()) {
    const std::vector<Accuracy> sets = by_set(result);
    add_accuracy(json, macro_average(sets), "_macro");
    for (size_t i = 0; i < sets.size(); ++i) {
      OrderedJson subject = {{"subject", result.names[i]}, {"questions", sets[i].questions}};
      add_accuracy(subject, sets[i]);
      json["subjects"].push_back(std::move(subject));
    }
  }
  json["truncated"] = truncated(all);
  json["resumed"] = result.resumed;
  json["tokens"] = result.tokens;
  json["seconds"] = result.seconds;
  fmt::print("{}\n", dump_json(json, 2));
}

}  // namespace stonechat
