// `stonechat eval arc_c` and other multiple-choice tasks: how often a model finds the right choice the
// likeliest.
#include <chrono>
#include <map>
#include <memory>
#include <optional>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/input_file.h"
#include "base/sha256.h"
#include "cache_flags.h"
#include "commands.h"
#include "eval/answer_store.h"
#include "eval/builtin_tasks.h"
#include "eval/choice_scorer.h"
#include "eval/question_set.h"
#include "eval/task_file.h"
#include "eval/windows.h"
#include "eval_task_output.h"
#include "interrupt.h"
#include "kernels/dispatch.h"
#include "loaded_model.h"
#include "memory_report.h"
#include "model_argument.h"
#include "output_file.h"
#include "progress.h"

namespace stonechat {
namespace {

constexpr uint32_t kCevalShots = 5;

struct TaskOptions {
  const Task* task = nullptr;  // none: what the task file says, or C-Eval's
  bool is_ceval = false;
  std::string task_file;
  std::string model;
  std::string data;
  std::vector<std::string> subjects;
  ShotOptions shots;
  uint32_t limit = 0;  // 0: all
  std::string samples;
  std::string results;
  bool fresh = false;
  bool no_share = false;
  RunFlags run;
  bool json = false;
  MemoryFlags memory;
};

std::vector<QuestionSet> read_sets(const TaskOptions& options) {
  if (options.is_ceval) return read_ceval(options.data, options.subjects, options.shots);
  const Task task = options.task != nullptr ? *options.task : read_task_file(options.task_file);
  ShotOptions shots = options.shots;
  if (!shots.file.empty()) shots.file = resolve_data(shots.file);
  return {read_question_set(task, resolve_data(options.data), shots)};
}

size_t asked(const TaskOptions& options, const QuestionSet& set) {
  return options.limit == 0 ? set.questions.size() : std::min<size_t>(options.limit, set.questions.size());
}

// The longest question with its choices, each of which has a cache. A token is taken for three bytes of text.
RunNeed longest_need(const TaskOptions& options, const ModelConfig& config, const Tuning& tuning,
                     std::span<const QuestionSet> sets) {
  constexpr size_t kBytesOfToken = 3;
  const uint32_t context = context_for(config, options.run.context);
  RunNeed need{.shape = run_shape(1, options.run, tuning)};
  const auto grow = [](uint32_t& most, size_t count) { most = std::max(most, static_cast<uint32_t>(count)); };
  for (const QuestionSet& set : sets) {
    for (size_t index = 0; index < asked(options, set); ++index) {
      size_t bytes = 0, longest = 0, choices = 0;
      const std::vector<ChoiceText> texts = set.texts(index);
      for (const ChoiceText& text : texts) {
        bytes = std::max(bytes, text.context.size());
        longest = std::max(longest, text.continuation.size());
        choices += text.continuation.size();
      }
      grow(need.shape.tokens, std::min<size_t>(context, (bytes + longest) / kBytesOfToken + 1));
      grow(need.shape.sequences, texts.size() + 1);
      grow(need.shape.hidden_rows, choices / kBytesOfToken + 1);
    }
  }
  need.shape.pass_tokens = std::max(need.shape.tokens, need.shape.hidden_rows);
  need.shape.logits_rows = std::min(kLogitsAtOnce, need.shape.hidden_rows);
  return need;
}

// What computes answers: loaded for the first one.
class LazyScorer {
 public:
  LazyScorer(const TaskOptions& options, std::string path, uint32_t context, NeedOf need)
      : options_(options), path_(std::move(path)), context_(context), need_(std::move(need)) {}

  ChoiceScores score(std::span<const ChoiceText> texts, const std::string& where) {
    if (!parts_) parts_.emplace(options_, path_, context_, need_);
    const auto start = std::chrono::steady_clock::now();
    ChoiceScores scores = parts_->scorer.score(texts, where);
    seconds_ += std::chrono::steady_clock::now() - start;
    return scores;
  }
  double seconds() const { return seconds_.count(); }
  // While the model is still there. Nothing where no answer was computed.
  void show_memory(const MemoryBaseline& baseline) {
    if (!parts_ || !parts_->memory) return;
    const MemoryEstimate estimate =
        parts_->model.estimate(need_(parts_->model.weights.config, parts_->model.chosen.tuning).shape);
    print_memory(measure_memory(*parts_->memory, predict(estimate, baseline)));
  }

 private:
  struct Parts {
    Parts(const TaskOptions& options, const std::string& path, uint32_t context, const NeedOf& need)
        : pool(options.run.thread_count()),
          model(path, pool, options.run, need),
          executor(model.weights, kernels(), pool, model.chosen.tuning),
          scorer(executor, model.tokenizer, context, options.run.cache, !options.no_share) {
      executor.set_should_stop(interrupted);
      if (options.memory.measure) memory.emplace();
    }

    ThreadPool pool;
    LoadedModel model;
    Executor executor;
    ChoiceScorer scorer;
    std::optional<MemorySampler> memory;
  };

  const TaskOptions& options_;
  std::string path_;
  uint32_t context_;
  NeedOf need_;
  std::optional<Parts> parts_;
  std::chrono::duration<double> seconds_{0};
};

// The answers of an earlier run, and where new ones go.
class Results {
 public:
  Results(const TaskOptions& options, const std::string& model, uint32_t context,
          std::span<const QuestionSet> sets)
      : store_(options.results) {
    const RunDescription description{STONECHAT_VERSION, model, sha256_of_file(model), options.run.cache,
                                     context};
    runs_ = store_.open_runs(description, sets);
    size_t total = 0;
    for (size_t set = 0; set < sets.size(); ++set) {
      if (options.fresh) store_.forget(runs_[set]);
      auto& known = known_.emplace_back(store_.answers(runs_[set], sets[set]));
      known.erase(known.lower_bound(asked(options, sets[set])), known.end());
      total += asked(options, sets[set]);
      count_ += known.size();
    }
    if (count_ != 0)
      fmt::print(stderr, "stonechat: {} has {} of {} answers; going on from there\n", options.results, count_,
                 total);
  }

  size_t count() const { return count_; }
  const Answer* find(size_t set, size_t index) const {
    const auto found = known_[set].find(index);
    return found == known_[set].end() ? nullptr : &found->second;
  }
  void add(size_t set, size_t index, const Question& question, const Answer& answer) {
    store_.add(runs_[set], index, question, answer);
  }
  void flush() { store_.flush(); }

 private:
  AnswerStore store_;
  std::vector<int64_t> runs_;                    // one a set
  std::vector<std::map<size_t, Answer>> known_;  // the same
  size_t count_ = 0;
};

class TaskRun {
 public:
  explicit TaskRun(const TaskOptions& options)
      : options_(options),
        baseline_(options.memory.wanted() ? MemoryBaseline::now() : MemoryBaseline()),
        sets_(read_sets(options)) {  // first: a model takes long
    catch_interrupts();
    const std::string model = resolve_model(options.model);
    std::vector<std::string> inputs = {model, options.task_file, options.results};
    for (const QuestionSet& set : sets_) {
      inputs.insert(inputs.end(), {set.path, set.shots_path});
      total_ += asked(options, set);
    }
    check_no_input(options.samples, inputs);
    if (!options.samples.empty()) samples_.emplace(options.samples);
    result_.context = context_for(ModelConfig::from(gguf::Reader(model)), options.run.context);
    if (!options.results.empty()) results_.emplace(options, model, result_.context, sets_);
    scorer_.emplace(options, model, result_.context, [this](const ModelConfig& config, const Tuning& tuning) {
      return longest_need(options_, config, tuning, sets_);
    });
    result_.model = options.model;
    result_.data = options.data;
    result_.shots = options.shots;
  }

  void run() {
    try {
      answer_all();
    } catch (const Error& error) {
      if (results_) results_->flush();
      if (error.kind() == ErrorKind::kInterrupted) explain_interrupt();
      throw;
    }
    if (results_) results_->flush();
    if (samples_) samples_->commit();
    result_.resumed = results_ ? results_->count() : 0;
    result_.seconds = scorer_->seconds();
    scorer_->show_memory(baseline_);
    const std::string& name = sets_[0].task.name;
    if (options_.json) return print_task_json(name, result_);
    print_task_text(name, result_);
  }

 private:
  void answer_all() {
    Progress progress(sets_[0].task.name, total_, "questions");
    for (size_t set = 0; set < sets_.size(); ++set) {
      result_.names.push_back(sets_[set].name);
      auto& answers = result_.answers.emplace_back();
      for (size_t index = 0; index < asked(options_, sets_[set]); ++index) {
        answers.push_back(answer(set, index));
        if (samples_) {
          const std::string line = sample_line(sets_[set], index, answers.back());
          samples_->write(std::as_bytes(std::span(line)));
        }
        progress.update(++done_);
        if (interrupted()) fail(ErrorKind::kInterrupted, "interrupted");
      }
    }
    progress.finish();
  }

  Answer answer(size_t set, size_t index) {
    if (const Answer* known = results_ ? results_->find(set, index) : nullptr) return *known;
    const Question& question = sets_[set].questions[index];
    Answer answer = answer_of(question, scorer_->score(sets_[set].texts(index), question.where));
    result_.tokens += answer.scores.tokens;
    if (results_) results_->add(set, index, question, answer);
    return answer;
  }

  [[noreturn]] void explain_interrupt() const {
    fail(ErrorKind::kInterrupted, "interrupted after {} of {} questions; {}", done_, total_,
         results_ ? fmt::format("the same command{} goes on from there, with what {} holds",
                                options_.fresh ? " without --fresh" : "", options_.results)
                  : "with --results FILE the same command would go on from there");
  }

  const TaskOptions& options_;
  MemoryBaseline baseline_;
  std::vector<QuestionSet> sets_;
  std::optional<AtomicFile> samples_;
  std::optional<Results> results_;
  std::optional<LazyScorer> scorer_;
  TaskResult result_;
  size_t total_ = 0;
  size_t done_ = 0;
};

void eval_task(TaskOptions& options) {
  if (options.fresh && options.results.empty())
    fail(ErrorKind::kUsage, "--fresh: begins a run in --results FILE again, which is missing");
  if (!options.shots.file.empty() && options.shots.shots == 0)
    fail(ErrorKind::kUsage, "--shots-file: without --shots N none is taken from it");
  if (!options.is_ceval && options.shots.file.empty() && !options.shots.seed) options.shots.seed = 0;
  if (options.memory.dry_run) {
    const MemoryBaseline baseline = MemoryBaseline::now();
    const std::vector<QuestionSet> sets = read_sets(options);
    const auto need = [&](const ModelConfig& config, const Tuning& tuning) {
      return longest_need(options, config, tuning, sets);
    };
    return print_prediction(
        options.model, predict(estimate_model(options.model, options.run, need), baseline), options.json);
  }
  TaskRun(options).run();
}

void add_task(Command& eval, const std::string& name, const std::string& help, const Task* task) {
  auto options = std::make_shared<TaskOptions>();
  options->task = task;
  options->is_ceval = name == "ceval";
  Command* command = eval.add_subcommand(name, help);
  command->add_option("model", options->model, kModelHelp)->required();
  const std::string data_help =
      options->is_ceval ? "The directory with val/SUBJECT_val.csv and dev/SUBJECT_dev.csv"
                        : "The task's questions: JSON lines or .csv, or hf:datasets/OWNER/REPO/FILE";
  command->add_option("--data", options->data, data_help)->required();
  if (options->is_ceval) {
    options->shots.shots = kCevalShots;
    command
        ->add_option("--subject", options->subjects, "Only this one; may come several times (default: all)")
        ->allow_extra_args(false);
  } else {
    command->add_option("--shots-file", options->shots.file,
                        "Take shots from these questions, such as the training split's: the first ones, or "
                        "drawn with --seed");
  }
  if (name == "task")
    command->add_option("--task", options->task_file, "What the task is, as JSON: docs/evaluation.md")
        ->required();
  command->add_option("--shots", options->shots.shots, "Answered questions before each")
      ->check(Range(0U, 100U))
      ->capture_default_str();
  command
      ->add_option("--limit", options->limit,
                   "Only this many questions, the first ones (of each subject); default: all")
      ->check(Range(1U, 1U << 30));
  command->add_option("--seed", options->shots.seed, "Draws the shots");
  command->add_option("--samples-out", options->samples, "Write each question's answer as JSON lines");
  command->add_option("--results", options->results,
                      "Keep answers in this SQLite file as they come; an interrupted run goes on from there");
  command->add_flag("--fresh", options->fresh, "Ask again what --results has answers to");
  command->add_option("-c,--context", options->run.context, "Tokens of context (default: up to 4096)")
      ->check(Range(4U, 1U << 27));
  command->add_flag("--no-share", options->no_share,
                    "Compute each choice and all before it anew: the same figures, slowly, to compare speed");
  add_cache_flags(*command, options->run.cache);
  options->run.add_threads(*command);
  options->run.add_no_tune(*command);
  command->add_flag("--json", options->json, "Print one JSON object");
  options->memory.add(*command);
  command->callback([options] { eval_task(*options); });
}

}  // namespace

void add_eval_tasks(Command& eval) {
  for (const Task& task : builtin_tasks())
    add_task(eval, task.name, "Multiple-choice questions: accuracy", &task);
  add_task(eval, "ceval", "C-Eval's subjects: accuracy of each and of all", nullptr);
  add_task(eval, "task", "Multiple-choice questions of a task of one's own: accuracy", nullptr);
}

}  // namespace stonechat
