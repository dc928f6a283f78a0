// `stonechat report`: a model measured in several types, all that the paper measures, in one command.
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>

#include "base/atomic_file.h"
#include "base/cpu_features.h"
#include "base/error.h"
#include "base/file_lock.h"
#include "commands.h"
#include "interrupt.h"
#include "kernels/dispatch.h"
#include "model_argument.h"
#include "report/builtin_text.h"
#include "report/collect.h"
#include "report/number_text.h"
#include "report_models.h"
#include "report_output.h"
#include "report_run.h"
#include "report_settings.h"
#include "utc_time.h"

namespace stonechat {
namespace {

namespace fs = std::filesystem;

std::set<ReportPart> parts_of(const std::string& flag, const std::vector<std::string>& names) {
  std::set<ReportPart> parts;
  for (const std::string& text : names) {
    const auto part = part_from_name(text);
    if (!part)
      fail(ErrorKind::kUsage, "{}: expected limits, speed, memory, text or tasks, got '{}'", flag, text);
    parts.insert(*part);
  }
  return parts;
}

ReportMachine this_machine() {
  ReportMachine machine;
  machine.cpu = cpu_name();
  machine.threads = usable_processors();
  machine.memory_bytes =
      static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  struct utsname system {};
  ::uname(&system);
  machine.system = fmt::format("{} {}", system.sysname, system.release);
  machine.version = STONECHAT_VERSION;
  machine.compiler = STONECHAT_COMPILER;
  machine.kernels = kernels().name;
  return machine;
}

void remove_database(const std::string& path) {
  for (const char* suffix : {"", "-journal"}) fs::remove(path + suffix);
}

StepClock clock_of(const std::vector<ReportStep>& steps, const std::map<std::string, StepRecord>& records) {
  StepClock clock;
  for (const ReportStep& step : steps) {
    if (const auto found = records.find(step.key); found != records.end() && found->second.done)
      clock.add(step, found->second.seconds);
  }
  return clock;
}

// The words that this program was started with.
std::string command_text() {
  std::ifstream stream("/proc/self/cmdline", std::ios::binary);
  std::string text = "stonechat";
  std::string word;
  std::getline(stream, word, '\0');  // the program, wherever it is
  while (std::getline(stream, word, '\0')) {
    const bool is_plain = word.find_first_of(" \t\n\"'\\\\$`*?;&|<>()") == std::string::npos && !word.empty();
    text += is_plain ? " " + word : fmt::format(" '{}'", word);
  }
  return text;
}

class ReportRun {
 public:
  explicit ReportRun(const ReportOptions& options)
      : options_(options),
        only_(parts_of("--only", options.only)),
        redo_(parts_of("--redo", options.redo)),
        models_(options.model, options.models_directory),
        directory_(options.directory.empty() ? models_.name() + "-report" : options.directory),
        database_(directory_ + "/results.sqlite"),
        machine_(this_machine()),
        settings_(report_settings(options, models_, directory_)),
        steps_(plan_steps(settings_)) {}

  void show_plan() {
    std::map<std::string, StepRecord> records;
    if (!options_.fresh && fs::exists(database_)) records = open_state().records(steps_);
    std::erase_if(records, [&](const auto& entry) {
      const auto step = std::find_if(steps_.begin(), steps_.end(),
                                     [&](const ReportStep& other) { return other.key == entry.first; });
      return redo_.contains(step->part);
    });
    const StepClock clock = clock_of(steps_, records);
    const std::vector<ReportStep> pending = pending_steps(records);
    double total = 0;
    for (const ReportStep& step : pending) {
      fmt::print("{:>12}  {}\n", duration_text(clock.predict(step)), step.label);
      total += clock.predict(step);
    }
    fmt::print("{} steps, about {}\n", pending.size(), duration_text(total));
  }

  void measure() {
    make_directories(settings_.samples_directory);
    catch_interrupts();
    catch_terminations();
    const FileLock lock(
        directory_ + "/report.lock",
        [&] { fmt::print(stderr, "stonechat: waiting for another report in {}\n", directory_); },
        interrupted);
    if (options_.fresh) remove_database(database_);
    if (options_.fresh || redo_.contains(ReportPart::kTasks)) remove_database(settings_.answers_path);
    ReportState state = open_state();
    for (const ReportPart part : redo_) state.forget(part);
    if (options_.text.empty()) write_text_file(settings_.text.path, builtin_text());
    std::map<std::string, StepRecord> records = state.records(steps_);
    const uint32_t failures = run_pending(state, records);
    ReportResults results;
    results.started = state.started();
    results.command = command_text();
    fill(results, records);
    write_report(results, directory_);
    print_summary(results, directory_);
    if (failures > 0)
      fail(ErrorKind::kIo, "failed steps: {}; the rest is in the report. {} tries them again", failures,
           same_command());
  }

 private:
  ReportState open_state() const {
    // What all results of one report have in common.
    return ReportState(database_, directory_,
                       {{"model", "sha256 " + models_.sha256()},
                        {"version", machine_.version},
                        {"processor", machine_.cpu},
                        {"kernels", machine_.kernels},
                        {"threads", std::to_string(machine_.threads)}},
                       utc_now());
  }

  // Steps of the parts that are wanted and have no result, and before them those that make the files which
  // these need.
  std::vector<ReportStep> pending_steps(const std::map<std::string, StepRecord>& records) const {
    std::vector<ReportStep> pending;
    std::vector<std::string> types;
    const auto need = [&](size_t variant) {
      const std::string& type = settings_.variants[variant].weights;
      if (std::find(types.begin(), types.end(), type) == types.end()) types.push_back(type);
    };
    for (const ReportStep& step : steps_) {
      const auto found = records.find(step.key);
      if (found != records.end() && found->second.done) continue;
      if (!only_.empty() && !only_.contains(step.part)) continue;
      pending.push_back(step);
      need(step.variant);
      if (step.part == ReportPart::kText) need(0);  // what divergence is measured from
    }
    if (pending.empty()) return pending;
    const std::vector<ReportStep> making = models_.missing(types);
    pending.insert(pending.begin(), making.begin(), making.end());
    return pending;
  }

  uint32_t run_pending(ReportState& state, std::map<std::string, StepRecord>& records) const {
    const std::vector<ReportStep> pending = pending_steps(records);
    if (pending.empty()) return 0;
    models_.prepare(pending);
    StepClock clock = clock_of(steps_, records);
    fmt::print(stderr, "stonechat: {} steps, {}\n", pending.size(), times_text(pending, clock));
    try {
      return run_steps(settings_, pending, clock, state, records);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kInterrupted) throw;
      fail(ErrorKind::kInterrupted, "interrupted; what was measured is kept in {}. {} goes on from there",
           database_, same_command());
    }
  }

  void fill(ReportResults& results, const std::map<std::string, StepRecord>& records) const {
    results.quick = options_.quick;
    results.machine = machine_;
    results.model = {options_.model, models_.description(), models_.parameters(), models_.sha256()};
    collect(settings_, steps_, records, results);
    for (ReportVariant& variant : results.variants)
      variant.weights_bytes = models_.tensor_bytes_of(variant.weights);
  }

  std::string same_command() const {
    return options_.fresh || !redo_.empty() ? "The same command without --fresh and --redo"
                                            : "The same command";
  }

  const ReportOptions& options_;
  std::set<ReportPart> only_, redo_;
  ReportModels models_;
  std::string directory_, database_;
  ReportMachine machine_;
  ReportSettings settings_;
  std::vector<ReportStep> steps_;
};

void report(const ReportOptions& options) {
  if (options.model.empty()) fail(ErrorKind::kUsage, "report: expected a model");
  report_types(options);  // wrong flags are told before a model is fetched
  ReportRun run(options);
  if (options.dry_run) return run.show_plan();
  run.measure();
}

}  // namespace

void add_report_command(Command& app) {
  Command* command = app.add_subcommand(
      "report", "Measure a model in several types: speed, memory, quality; write report.html");
  auto options = std::make_shared<ReportOptions>();
  command->add_option("model", options->model, kModelSourceHelp);
  command->add_flag("--quick", options->quick,
                    "In minutes: f32 and q8_0, fewer tests, rounds, windows and questions");
  command->add_option(
      "-o,--output", options->directory,
      "The directory of the report (default: NAME-report); one that has results of this model "
      "goes on from there");
  command
      ->add_option("--types", options->types,
                   "Types to compare with f32 (default: q8_0,q8_r,q4_0; --quick: q8_0)")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      ->add_option("--rounds", options->rounds,
                   "Rounds of speed, in which types take turns (default: 5; --quick: 3)")
      ->check(Range(1U, 1000U));
  command->add_option("--text", options->text,
                      "The text of perplexity and divergence (default: one built in)");
  command->add_option("-c,--context", options->window, "Tokens of a window of it (default: 512)")
      ->check(Range(4U, 1U << 27));
  command->add_option("--windows", options->windows, "Only this many windows (default: all; --quick: 8)")
      ->check(Range(1U, 1U << 30));
  command->add_option("--data", options->data,
                      "A folder with tasks: arc_c/test.jsonl, hellaswag/sample.jsonl, ceval/");
  command
      ->add_option("--limit", options->limit,
                   "Only this many questions of a task (default: all; --quick: 100)")
      ->check(Range(1U, 1U << 30));
  command
      ->add_option("--only", options->only,
                   "Measure this part only: limits, speed, memory, text or tasks; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--redo", options->redo, "Measure this part again; may be repeated")
      ->allow_extra_args(false);
  command->add_flag("--fresh", options->fresh, "Forget all results that the directory has");
  command->add_option("--models", options->models_directory,
                      "Where the model's files of each type are kept (default: in the cache)");
  command->add_flag("--dry-run", options->dry_run, "Show the steps and how long they may take");
  add_report_compare(*command);
  command->callback([options, command] {
    if (!command->has_run_subcommand()) report(*options);
  });
}

}  // namespace stonechat
