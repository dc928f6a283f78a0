#include "report/step_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

namespace stonechat {
namespace {

// Where guesses begin: what two threads of an AMD Zen 5 do with a model of 494 M parameters. Multiply-adds a
// second of prompts, bytes a second of answers, and of loading.
constexpr double kFloatMacs = 285e9, kCodeMacs = 590e9, kDecodeBytes = 40e9, kLoadBytes = 1.2e9;
constexpr double kThreadsOfGuess = 2;
constexpr double kStartSeconds = 0.2;
// Guesses of one part are corrected by others as if that much had been guessed right: a short step says
// little.
constexpr double kTrustSeconds = 10;
// `bench --roofline` measures limits around each repetition.
constexpr double kLimitsSeconds = 0.15;
constexpr uint32_t kLimitsRounds = 5;
// Choices are shorter than a batch should be, and prompts longer than windows.
constexpr double kTaskSlowness = 1.5;

class Guess {
 public:
  explicit Guess(const ReportSettings& settings) : settings_(settings) {}

  double load(const PlannedVariant& variant) const {
    return kStartSeconds + static_cast<double>(variant.bytes) / kLoadBytes;
  }
  double prompt(const PlannedVariant& variant, double tokens) const {
    const double macs = static_cast<double>(settings_.parameters) * tokens;
    return macs / (is_float(variant) ? kFloatMacs : kCodeMacs) * kThreadsOfGuess / settings_.threads;
  }
  // More threads than two hardly read faster.
  double generate(const PlannedVariant& variant, double tokens) const {
    return static_cast<double>(variant.bytes) * tokens / kDecodeBytes * (settings_.threads == 1 ? 2 : 1);
  }

 private:
  static bool is_float(const PlannedVariant& variant) { return variant.weights.find('q') != 0; }

  const ReportSettings& settings_;
};

std::string joined(const std::vector<uint32_t>& numbers) {
  return fmt::format("{}", fmt::join(numbers, ","));
}

void append(std::vector<std::string>& to, std::vector<std::string> more) {
  to.insert(to.end(), more.begin(), more.end());
}

class Planner {
 public:
  explicit Planner(const ReportSettings& settings) : settings_(settings), guess_(settings) {}

  std::vector<ReportStep> plan() {
    if (is_in(ReportPart::kLimits)) add_limits();
    for (uint32_t round = 0; is_in(ReportPart::kSpeed) && round < settings_.rounds; ++round) {
      for (size_t i = 0; i < settings_.variants.size(); ++i)
        add_speed((round + i) % settings_.variants.size(), round);
    }
    for_variants(ReportPart::kMemory, [&](size_t variant) { add_memory(variant); });
    for_variants(ReportPart::kText, [&](size_t variant) { add_text(variant); });
    for (const PlannedTask& task : settings_.tasks)
      for_variants(ReportPart::kTasks, [&](size_t variant) { add_task(task, variant); });
    return std::move(steps_);
  }

 private:
  bool is_in(ReportPart part) const { return !settings_.left_out.contains(part); }

  template <typename Add>
  void for_variants(ReportPart part, Add&& add) {
    for (size_t variant = 0; is_in(part) && variant < settings_.variants.size(); ++variant) add(variant);
  }

  const PlannedVariant& variant_of(const ReportStep& step) const { return settings_.variants[step.variant]; }

  // `suffix` distinguishes steps of one kind.
  ReportStep& add_step(ReportPart part, size_t variant, const std::string& what, const std::string& suffix) {
    ReportStep& step = steps_.emplace_back();
    step.part = part;
    step.variant = variant;
    step.kind = fmt::format("{}/{}", what, settings_.variants[variant].name);
    step.key = suffix.empty() ? step.kind : step.kind + "/" + suffix;
    step.guess = guess_.load(settings_.variants[variant]);
    return step;
  }

  std::vector<std::string> cache_flags(const PlannedVariant& variant) const {
    return {"--cache-type-k", variant.cache, "--cache-type-v", variant.cache};
  }

  // The limits are the machine's, not a model's: of the variants the one that takes least to load.
  void add_limits() {
    const auto smallest = std::min_element(settings_.variants.begin(), settings_.variants.end(),
                                           [](const auto& a, const auto& b) { return a.bytes < b.bytes; });
    ReportStep& step = add_step(ReportPart::kLimits,
                                static_cast<size_t>(smallest - settings_.variants.begin()), "limits", "");
    step.key = step.kind = "limits";
    step.label = "limits of this machine";
    step.inputs = fmt::format("--roofline -p 64 -r {}", kLimitsRounds);
    step.arguments = {
        "bench", "-m",   smallest->path, "-p", "64", "-n", "0", "-r", std::to_string(kLimitsRounds),
        "-o",    "json", "--roofline"};
    step.guess += 1 + (kLimitsRounds + 1) * (kLimitsSeconds + guess_.prompt(*smallest, 64));
  }

  void add_speed(size_t index, uint32_t round) {
    ReportStep& step = add_step(ReportPart::kSpeed, index, "speed", std::to_string(round + 1));
    const PlannedVariant& variant = variant_of(step);
    step.round = round + 1;
    step.label = fmt::format("speed of {}, round {}", variant.name, round + 1);
    step.inputs =
        fmt::format("--roofline -p {} -n {}", joined(settings_.prompts), joined(settings_.generates));
    step.arguments = {"bench",
                      "-m",
                      variant.path,
                      "-p",
                      joined(settings_.prompts),
                      "-n",
                      joined(settings_.generates),
                      "-r",
                      "1",
                      "-o",
                      "json",
                      "--roofline"};
    append(step.arguments, cache_flags(variant));
    step.guess += 1;
    for (const uint32_t tokens : settings_.prompts)  // once to warm up
      step.guess += 2 * guess_.prompt(variant, tokens) + 2 * kLimitsSeconds;
    for (const uint32_t tokens : settings_.generates)
      step.guess += guess_.generate(variant, tokens + 1) + 2 * kLimitsSeconds;
  }

  void add_memory(size_t index) {
    ReportStep& step = add_step(ReportPart::kMemory, index, "memory", "");
    const PlannedVariant& variant = variant_of(step);
    const std::string pair = fmt::format("{},{}", settings_.memory_prompt, settings_.memory_generate);
    step.label = "memory of " + variant.name;
    step.inputs = "--memory --pg " + pair;
    step.arguments = {"bench", "-m", variant.path, "-p", "0",  "-n",   "0",
                      "--pg",  pair, "-r",         "1",  "-o", "json", "--memory"};
    append(step.arguments, cache_flags(variant));
    step.guess += 2 * guess_.prompt(variant, settings_.memory_prompt) +
                  guess_.generate(variant, settings_.memory_generate + 1);
  }

  void add_text(size_t index) {
    ReportStep& step = add_step(ReportPart::kText, index, "text", "");
    const PlannedVariant& variant = variant_of(step);
    const PlannedVariant& reference = settings_.variants[0];
    const PlannedText& text = settings_.text;
    step.label = fmt::format("{} of {}", index == 0 ? "perplexity" : "divergence", variant.name);
    step.inputs = fmt::format("text {} --context {} --windows {}", text.sha256, text.window, text.windows);
    step.arguments = {"eval",      index == 0 ? "ppl" : "kl",   variant.path, "--text", text.path,
                      "--context", std::to_string(text.window), "--json"};
    if (text.windows != 0) append(step.arguments, {"--windows", std::to_string(text.windows)});
    append(step.arguments, cache_flags(variant));
    step.guess += guess_.prompt(variant, text.tokens);
    if (index == 0) return;
    append(step.arguments, {"--against", reference.path, "--against-cache-type-k", reference.cache,
                            "--against-cache-type-v", reference.cache});
    step.guess += guess_.load(reference) + guess_.prompt(reference, text.tokens);
  }

  void add_task(const PlannedTask& task, size_t index) {
    ReportStep& step = add_step(ReportPart::kTasks, index, "tasks/" + task.name, "");
    const PlannedVariant& variant = variant_of(step);
    step.task = task.name;
    step.label = fmt::format("{} by {}", task.name, variant.name);
    step.inputs = fmt::format("data {} --shots {} --limit {}", task.data_sha256, task.shots, task.limit);
    step.samples = fmt::format("{}/{}.{}.{}-cache.jsonl", settings_.samples_directory, task.name,
                               variant.weights, variant.cache);
    step.arguments = {"eval",
                      task.name,
                      variant.path,
                      "--data",
                      task.data,
                      "--shots",
                      std::to_string(task.shots),
                      "--samples-out",
                      step.samples,
                      "--json"};
    append(step.arguments, {"--results", settings_.answers_path});
    if (task.limit != 0) append(step.arguments, {"--limit", std::to_string(task.limit)});
    append(step.arguments, cache_flags(variant));
    step.guess += kTaskSlowness * guess_.prompt(variant, task.tokens);
  }

  const ReportSettings& settings_;
  Guess guess_;
  std::vector<ReportStep> steps_;
};

}  // namespace

std::string_view name(ReportPart part) {
  switch (part) {
    case ReportPart::kModels:
      return "models";
    case ReportPart::kLimits:
      return "limits";
    case ReportPart::kSpeed:
      return "speed";
    case ReportPart::kMemory:
      return "memory";
    case ReportPart::kText:
      return "text";
    case ReportPart::kTasks:
      return "tasks";
  }
  return "";
}

std::optional<ReportPart> part_from_name(std::string_view text) {
  for (const ReportPart part : kMeasuringParts) {
    if (name(part) == text) return part;
  }
  return std::nullopt;
}

std::vector<ReportStep> plan_steps(const ReportSettings& settings) {
  return Planner(settings).plan();
}

void StepClock::add(const ReportStep& step, double seconds) {
  std::vector<Sum*> sums = {&of_kind_[step.kind], &of_part_[step.part]};
  // What makes models says nothing of what measures them.
  if (step.part != ReportPart::kModels) sums.push_back(&measuring_);
  for (Sum* sum : sums) {
    sum->seconds += seconds;
    sum->guess += step.guess;
    ++sum->steps;
  }
}

double StepClock::predict(const ReportStep& step) const {
  if (const auto found = of_kind_.find(step.kind); found != of_kind_.end())
    return found->second.seconds / found->second.steps;
  const auto part = of_part_.find(step.part);
  if (part == of_part_.end() && step.part == ReportPart::kModels) return step.guess;
  if (part != of_part_.end() && part->second.guess > 0)
    return step.guess * part->second.seconds / part->second.guess;
  return step.guess * (measuring_.seconds + kTrustSeconds) / (measuring_.guess + kTrustSeconds);
}

}  // namespace stonechat
