// `stonechat eval arc_c` and other multiple-choice tasks: how often a model finds the right choice the
// likeliest.
#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/input_file.h"
#include "cache_flags.h"
#include "commands.h"
#include "eval/choice_scorer.h"
#include "eval/statistics.h"
#include "eval/task.h"
#include "interrupt.h"
#include "kernels/dispatch.h"
#include "loaded_model.h"
#include "progress.h"
#include "tuning_choice.h"

namespace stonechat {
namespace {

struct TaskOptions {
  const Task* task = nullptr;
  std::string model;
  std::string data;
  std::string samples;
  uint32_t shots = 0;
  uint32_t limit = 0;  // 0: all
  uint64_t seed = 0;
  RunFlags run;
  bool json = false;
};

// Code points of valid UTF-8.
double characters(const std::string& text) {
  return static_cast<double>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// Of equals the first.
size_t largest(const std::vector<double>& values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

// One question more than shots, for the question that is a shot itself. All questions so share their shots,
// which are computed once.
std::vector<size_t> draw_shots(size_t questions, uint32_t shots, uint64_t seed) {
  std::vector<size_t> order(questions);
  for (size_t i = 0; i < questions; ++i) order[i] = i;
  std::mt19937_64 random(seed);
  for (size_t i = 0; i <= shots; ++i) std::swap(order[i], order[i + random() % (questions - i)]);
  order.resize(size_t{shots} + 1);
  return order;
}

void eval_task(const TaskOptions& options) {
  const std::vector<Question> questions =
      read_questions(*options.task, options.data);  // first: a model takes long
  if (options.shots >= questions.size())
    fail(ErrorKind::kUsage, "--shots: {} shots need more questions than {} has: {}", options.shots,
         options.data, questions.size());
  if (!options.samples.empty() && InputFile(options.data).is_same_file_as(options.samples))
    fail(ErrorKind::kUsage, "--samples-out: {} is the file of the questions", options.samples);
  std::optional<AtomicFile> samples;
  if (!options.samples.empty()) samples.emplace(options.samples);
  const size_t count =
      options.limit == 0 ? questions.size() : std::min<size_t>(options.limit, questions.size());
  const std::vector<size_t> drawn = draw_shots(questions.size(), options.shots, options.seed);

  ThreadPool pool(options.run.thread_count());
  const LoadedModel model(options.model, pool);
  const uint32_t context = context_for(model.weights.config, options.run.context);
  Executor executor(model.weights, kernels(), pool, choose_tuning(model.weights, options.run).tuning);
  catch_interrupts();
  executor.set_should_stop(interrupted);
  ChoiceScorer scorer(executor, model.tokenizer, context, options.run.cache);
  Progress progress(options.task->name, count, "questions");
  const auto start = std::chrono::steady_clock::now();
  std::vector<double> right, right_norm;
  uint64_t truncated = 0;
  for (size_t index = 0; index < count; ++index) {
    const Question& question = questions[index];
    std::vector<Question> shots;
    for (const size_t shot : drawn) {
      if (shot != index && shots.size() < options.shots) shots.push_back(questions[shot]);
    }
    std::vector<std::string> continuations;
    for (const std::string& choice : question.choices)
      continuations.push_back(std::string(kTargetDelimiter) + choice);
    const ChoiceScores scores =
        scorer.score(shots_text(shots) + question.prompt, continuations, question.where);
    std::vector<double> by_length = scores.log_likelihoods;
    for (size_t i = 0; i < by_length.size(); ++i) by_length[i] /= characters(question.choices[i]);
    const size_t choice = largest(scores.log_likelihoods);
    const size_t choice_norm = largest(by_length);
    right.push_back(choice == question.gold ? 1 : 0);
    right_norm.push_back(choice_norm == question.gold ? 1 : 0);
    truncated += scores.truncated ? 1 : 0;
    if (samples) {
      const nlohmann::ordered_json sample = {{"task", options.task->name},
                                             {"shots", options.shots},
                                             {"id", question.id},
                                             {"gold", question.gold},
                                             {"choice", choice},
                                             {"choice_norm", choice_norm},
                                             {"truncated", scores.truncated},
                                             {"log_likelihoods", scores.log_likelihoods}};
      // An id of a .csv file may be any bytes.
      const std::string line = sample.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
      samples->write(std::as_bytes(std::span(line)));
    }
    progress.update(index + 1);
    if (interrupted()) fail(ErrorKind::kInterrupted, "interrupted");
  }
  progress.finish();
  if (samples) samples->commit();
  const Estimate acc = estimate(right);
  const Estimate acc_norm = estimate(right_norm);
  if (!options.json) {
    fmt::print("{}: {} questions, {} shots\nacc       {:.4f} +- {:.4f}\nacc_norm  {:.4f} +- {:.4f}\n",
               options.task->name, count, options.shots, acc.mean, acc.standard_error, acc_norm.mean,
               acc_norm.standard_error);
    if (truncated != 0) fmt::print("{} prompts lost their beginning: context {}\n", truncated, context);
    return;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const nlohmann::ordered_json json = {{"task", options.task->name},
                                       {"model", options.model},
                                       {"data", options.data},
                                       {"shots", options.shots},
                                       {"seed", options.seed},
                                       {"questions", count},
                                       {"acc", acc.mean},
                                       {"acc_stderr", acc.standard_error},
                                       {"acc_norm", acc_norm.mean},
                                       {"acc_norm_stderr", acc_norm.standard_error},
                                       {"truncated", truncated},
                                       {"seconds", seconds.count()}};
  fmt::print("{}\n", json.dump(2));
}

}  // namespace

void add_eval_tasks(Command& eval) {
  for (const Task& task : builtin_tasks()) {
    auto options = std::make_shared<TaskOptions>();
    options->task = &task;
    Command* command = eval.add_subcommand(task.name, "Multiple-choice questions: accuracy");
    command
        ->add_option("model", options->model,
                     "A GGUF or packed file, a catalog name, or hf:OWNER/REPO[/FILE]")
        ->required();
    command->add_option("--data", options->data, "The task's questions: JSON lines, or .csv")->required();
    command
        ->add_option("--shots", options->shots,
                     "Answered questions before each, drawn from the same file's other questions")
        ->check(Range(0U, 100U))
        ->capture_default_str();
    command->add_option("--limit", options->limit, "Only this many questions, the first (default: all)")
        ->check(Range(1U, 1U << 30));
    command->add_option("--seed", options->seed, "Draws the shots")->capture_default_str();
    command->add_option("--samples-out", options->samples, "Write each question's answer as JSON lines");
    command->add_option("-c,--context", options->run.context, "Tokens of context (default: up to 4096)")
        ->check(Range(4U, 1U << 27));
    add_cache_flags(*command, options->run.cache);
    options->run.add_threads(*command);
    options->run.add_no_tune(*command);
    command->add_flag("--json", options->json, "Print one JSON object");
    command->callback([options] { eval_task(*options); });
  }
}

}  // namespace stonechat
