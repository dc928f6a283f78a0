#include "report_tasks.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <vector>

#include "base/error.h"
#include "eval/builtin_tasks.h"
#include "eval/question_set.h"
#include "report_hash.h"
#include "report_settings.h"

namespace stonechat {
namespace {

constexpr uint32_t kFewQuestions = 100;
constexpr const char* kCeval = "ceval";

// A task's data below the folder, as data sets come; and the shots that papers count with.
struct TaskPlace {
  const char* task;
  const char* path;
  uint32_t shots;
};
constexpr TaskPlace kTaskPlaces[] = {
    {"arc_c", "arc_c/test.jsonl", 25}, {"hellaswag", "hellaswag/sample.jsonl", 10}, {kCeval, "ceval", 5}};

std::vector<QuestionSet> read_sets(const std::string& task, const std::string& path, uint32_t shots) {
  if (task == kCeval) return read_ceval(path, {}, {shots, {}, {}});
  const auto tasks = builtin_tasks();
  const auto found =
      std::find_if(tasks.begin(), tasks.end(), [&](const Task& one) { return one.name == task; });
  return {read_question_set(*found, path, {shots, {}, 0})};
}

// Of `count` questions: what comes before the first, and each with its choices.
double guessed_tokens(const QuestionSet& set, size_t count) {
  auto bytes = static_cast<double>(set.texts(0)[0].context.size());
  for (const Question& question : std::span(set.questions).first(count)) {
    bytes += static_cast<double>(question.prompt.size());
    for (const std::string& choice : question.choices) bytes += static_cast<double>(choice.size());
  }
  return bytes / kBytesAToken;
}

}  // namespace

void add_tasks(const std::string& folder, bool few, uint32_t limit, ReportSettings& settings) {
  std::string places;
  for (const TaskPlace& place : kTaskPlaces) {
    places += (places.empty() ? "" : ", ") + std::string(place.path);
    const std::string path = fmt::format("{}/{}", folder, place.path);
    std::error_code error;
    if (!std::filesystem::exists(path, error)) {
      settings.absent_tasks.push_back(fmt::format("{}: no {}", place.task, path));
      continue;
    }
    PlannedTask task;
    task.name = place.task;
    task.data = path;
    task.data_sha256 = sha256_of_path(path);
    task.shots = few ? 0 : place.shots;
    const std::vector<QuestionSet> sets = read_sets(task.name, path, task.shots);
    if (limit == 0 && few) limit = kFewQuestions;
    // Of each subject as many.
    if (limit != 0) task.limit = static_cast<uint32_t>((limit + sets.size() - 1) / sets.size());
    for (const QuestionSet& set : sets) {
      const size_t count =
          task.limit == 0 ? set.questions.size() : std::min<size_t>(task.limit, set.questions.size());
      task.tokens += guessed_tokens(set, count);
    }
    settings.tasks.push_back(std::move(task));
  }
  if (settings.tasks.empty()) fail(ErrorKind::kUsage, "--data: {} has none of {}", folder, places);
}

}  // namespace stonechat
