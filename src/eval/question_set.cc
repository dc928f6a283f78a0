#include "eval/question_set.h"

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <random>

#include "base/error.h"
#include "base/input_file.h"
#include "eval/builtin_tasks.h"

namespace stonechat {
namespace {

namespace fs = std::filesystem;

std::vector<size_t> draw(size_t from, size_t count, uint64_t seed) {
  std::vector<size_t> order(from);
  std::iota(order.begin(), order.end(), size_t{0});
  std::mt19937_64 random(seed);
  for (size_t i = 0; i < count; ++i) std::swap(order[i], order[i + random() % (from - i)]);
  order.resize(count);
  return order;
}

std::vector<size_t> first(size_t count) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  return order;
}

std::string subject_names() {
  std::vector<std::string_view> names;
  for (const CevalSubject& subject : ceval_subjects()) names.push_back(subject.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

const CevalSubject* find_subject(std::string_view name) {
  const auto subjects = ceval_subjects();
  const auto found = std::find_if(subjects.begin(), subjects.end(),
                                  [&](const auto& subject) { return subject.name == name; });
  return found == subjects.end() ? nullptr : &*found;
}

std::string subject_file(const std::string& directory, std::string_view split, std::string_view subject) {
  const std::string path = fmt::format("{}/{}/{}_{}.csv", directory, split, subject, split);
  std::error_code error;
  if (!fs::exists(path, error))
    fail(ErrorKind::kIo,
         "{}: no such file; each subject has one in val and, for shots, one in dev; --subject takes single "
         "subjects",
         path);
  return path;
}

// A file of a subject that we don't know would be left out silently.
void check_directory(const std::string& directory) {
  std::error_code error;
  const fs::directory_iterator files(fs::path(directory) / "val", error);
  if (error)
    fail(ErrorKind::kUsage,
         "--data: {}: expected a directory with C-Eval's val/SUBJECT_val.csv and dev/SUBJECT_dev.csv",
         directory);
  constexpr std::string_view kEnd = "_val.csv";
  for (const auto& entry : files) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(kEnd) && find_subject(name.substr(0, name.size() - kEnd.size())) == nullptr)
      fail(ErrorKind::kBadFile, "{}: not a subject of C-Eval; they are {}", entry.path().string(),
           subject_names());
  }
}

}  // namespace

std::vector<ChoiceText> QuestionSet::texts(size_t index) const {
  std::vector<Question> chosen;
  for (const size_t shot : drawn) {
    const bool is_itself = shots_path.empty() && shot == index;
    if (!is_itself && chosen.size() < shots)
      chosen.push_back(shots_path.empty() ? questions[shot] : examples[shot]);
  }
  return choice_texts(task, chosen, questions[index]);
}

QuestionSet read_question_set(const Task& task, const std::string& path, const ShotOptions& shots) {
  QuestionSet set{.name = {},
                  .path = path,
                  .shots_path = shots.shots == 0 ? "" : shots.file,
                  .task = task,
                  .questions = read_questions(task, path),
                  .shots = shots.shots,
                  .examples = {},
                  .drawn = {}};
  if (shots.shots == 0) return set;
  if (shots.file.empty()) {
    if (shots.shots >= set.questions.size())
      fail(ErrorKind::kUsage, "--shots: {} shots need more questions than {} has: {}", shots.shots, path,
           set.questions.size());
    set.drawn = draw(set.questions.size(), size_t{shots.shots} + 1, shots.seed.value_or(0));
    return set;
  }
  if (InputFile(shots.file).is_same_file_as(path))
    fail(ErrorKind::kUsage, "--shots-file: {} is the file of the questions", shots.file);
  set.examples = read_questions(task, shots.file);
  if (shots.shots > set.examples.size())
    fail(ErrorKind::kUsage, "--shots: {} has {} questions, asked for are {} shots", shots.file,
         set.examples.size(), shots.shots);
  set.drawn = shots.seed ? draw(set.examples.size(), shots.shots, *shots.seed) : first(shots.shots);
  return set;
}

std::vector<QuestionSet> read_ceval(const std::string& directory, std::span<const std::string> subjects,
                                    const ShotOptions& shots) {
  check_directory(directory);
  for (const std::string& name : subjects) {
    if (find_subject(name) == nullptr)
      fail(ErrorKind::kUsage, "--subject: expected one of {}, got {}", subject_names(), name);
  }
  std::vector<QuestionSet> sets;
  for (const CevalSubject& subject : ceval_subjects()) {
    if (!subjects.empty() && std::find(subjects.begin(), subjects.end(), subject.name) == subjects.end())
      continue;
    ShotOptions own = shots;
    if (own.shots != 0) own.file = subject_file(directory, "dev", subject.name);
    sets.push_back(read_question_set(ceval_task(subject), subject_file(directory, "val", subject.name), own));
    sets.back().name = subject.name;
  }
  return sets;
}

}  // namespace stonechat
