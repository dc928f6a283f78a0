#include "report/collect.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "base/error.h"
#include "base/strict_json.h"
#include "eval/machine_limits.h"
#include "eval/records.h"
#include "report/kept_ratio.h"

namespace stonechat {
namespace {

constexpr double kHuge = std::numeric_limits<double>::max();
constexpr uint64_t kMostCount = uint64_t{1} << 53;  // of what JSON's numbers hold

std::string most_frequent(const std::vector<std::string>& names) {
  std::map<std::string, int> counts;
  for (const auto& name : names) ++counts[name];
  return std::max_element(counts.begin(), counts.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

Estimate get_estimate(const JsonFields& fields, const std::string& mean, const std::string& error) {
  return {fields.get_number(mean, -kHuge, kHuge), fields.get_number(error, 0, kHuge)};
}

// What `bench` prints: an array with an object for each test.
struct BenchTests {
  Json json;
  std::vector<JsonFields> tests;

  BenchTests(const std::string& text, const std::string& where) : json(parse_strict_json(text, where)) {
    if (!json.is_array() || json.empty() || !json[0].is_object())
      fail(ErrorKind::kBadFile, "{}: expected an array of objects, found {}", where, json_text(json));
    for (const Json& test : json) tests.emplace_back(test, where);
  }
};

// One test in one round.
struct SpeedSample {
  uint32_t round, prompt, generate;
  double tokens_per_second, share;
  std::string limit;
};

std::vector<SpeedSample> speeds_in(const std::string& output, const std::string& where, uint32_t round) {
  std::vector<SpeedSample> samples;
  for (const JsonFields& test : BenchTests(output, where).tests) {
    samples.push_back({round, static_cast<uint32_t>(test.get_uint("n_prompt", 0, UINT32_MAX)),
                       static_cast<uint32_t>(test.get_uint("n_gen", 0, UINT32_MAX)),
                       test.get_number("avg_ts", 0, kHuge), test.get_number("share", 0, kHuge),
                       test.get_string("limit")});
  }
  return samples;
}

// The best of those that were measured beside each test: a limit is what the machine can do, and its
// neighbours only take from that.
MachineLimits limits_in(const std::string& output, const std::string& where) {
  MachineLimits best;
  for (const JsonFields& test : BenchTests(output, where).tests) {
    const auto number = [&](const char* key) { return test.get_number(key, 0, kHuge); };
    best =
        larger(best, {number("limit_integer_gmacs"), number("limit_float_gmacs"), number("limit_read_gbs")});
  }
  return best;
}

ReportMemory memory_in(const std::string& output, const std::string& where) {
  const BenchTests bench(output, where);
  const JsonFields fields = bench.tests[0].get_object("memory");
  ReportMemory memory;
  memory.context = static_cast<uint32_t>(bench.tests[0].get_uint("n_prompt", 0, UINT32_MAX) +
                                         bench.tests[0].get_uint("n_gen", 0, UINT32_MAX));
  const JsonFields series = fields.get_object("series");
  for (const auto& [name, value] : series.json().items()) {
    const JsonFields one = series.get_object(name);
    const auto bytes = [&](const char* key) { return one.get_uint(key, 0, kMostCount); };
    memory.series[name] = {bytes("minimum"), bytes("median"), bytes("p95"), bytes("peak")};
  }
  if (const auto parts = fields.find_object("parts")) {  // not every system tells
    for (const auto& [name, value] : parts->json().items())
      memory.parts[name] = parts->get_uint(name, 0, kMostCount);
  }
  return memory;
}

ReportText text_in(const std::string& output, const std::string& where, bool is_reference) {
  const Json json = parse_strict_json(output, where);
  const JsonFields fields(json, where);
  ReportText text;
  text.window = static_cast<uint32_t>(fields.get_uint("window", 1, UINT32_MAX));
  text.windows = fields.get_uint("windows", 1, kMostCount);
  text.tokens = fields.get_uint("tokens", 1, kMostCount);
  text.perplexity = get_estimate(fields, "ppl", "ppl_error");
  if (is_reference) return text;
  text.kl = get_estimate(fields, "mean_kl", "mean_kl_error");
  for (const auto& [name, key] : {std::pair{"median", "median_kl"},
                                  {"p90", "p90_kl"},
                                  {"p99", "p99_kl"},
                                  {"p999", "p999_kl"},
                                  {"maximum", "max_kl"}})
    text.kl_percentiles[name] = fields.get_number(key, -kHuge, kHuge);
  text.same_top = get_estimate(fields, "same_top", "same_top_error");
  text.top5_overlap = get_estimate(fields, "top5_overlap", "top5_overlap_error");
  text.probability_difference =
      get_estimate(fields, "probability_difference", "probability_difference_error");
  text.log_perplexity_ratio = get_estimate(fields, "log_ppl_ratio", "log_ppl_ratio_error");
  return text;
}

ReportTask task_in(const std::string& output, const std::string& where) {
  const Json json = parse_strict_json(output, where);
  const JsonFields fields(json, where);
  ReportTask task;
  task.task = fields.get_string("task");
  task.shots = static_cast<uint32_t>(fields.get_uint("shots", 0, UINT32_MAX));
  task.questions = fields.get_uint("questions", 1, kMostCount);
  task.acc = get_estimate(fields, "acc", "acc_stderr");
  task.acc_norm = get_estimate(fields, "acc_norm", "acc_norm_stderr");
  if (json.contains("acc_macro")) {  // of a task with subjects
    task.acc_macro = get_estimate(fields, "acc_macro", "acc_macro_stderr");
    task.acc_norm_macro = get_estimate(fields, "acc_norm_macro", "acc_norm_macro_stderr");
  }
  return task;
}

std::string where_of(const ReportStep& step) {
  return "the output of " + step.label;
}

std::vector<bool> right(const std::vector<ReportAnswer>& answers, int64_t ReportAnswer::*choice) {
  std::vector<bool> result;
  for (const ReportAnswer& answer : answers) result.push_back(answer.*choice == answer.gold);
  return result;
}

// Both answered the same questions in the same order, as all variants get the same flags and data.
bool same_questions(const std::vector<ReportAnswer>& a, const std::vector<ReportAnswer>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.id == y.id && x.gold == y.gold; });
}

// Why steps of a part have no results. Of those with the same reason the first is named.
struct Missing {
  std::vector<std::string> reasons;
  std::map<std::string, std::pair<std::string, int>> steps;  // by reason: the first step, how many more

  void add(const ReportStep& step, const std::string& reason) {
    const auto [place, is_new] = steps.try_emplace(reason, step.label, 0);
    if (!is_new) ++place->second.second;
  }
  std::string text() const {
    std::vector<std::string> all = reasons;
    for (const auto& [reason, where] : steps) {
      const auto& [first, more] = where;
      all.push_back(more == 0 ? fmt::format("{}: {}", first, reason)
                              : fmt::format("{} and {} more: {}", first, more, reason));
    }
    return fmt::format("{}", fmt::join(all, "; "));
  }
};

class Collector {
 public:
  Collector(const ReportSettings& settings, const std::vector<ReportStep>& steps,
            const std::map<std::string, StepRecord>& records, ReportResults& results)
      : settings_(settings), steps_(steps), records_(records), results_(results) {}

  void collect() {
    for (const PlannedVariant& planned : settings_.variants) {
      ReportVariant& variant = results_.variants.emplace_back();
      variant.name = planned.name;
      variant.weights = planned.weights;
      variant.cache = planned.cache;
    }
    results_.variants[0].is_reference = true;
    for (const ReportStep& step : steps_) {
      const auto found = records_.find(step.key);
      if (found == records_.end() || !found->second.done) {
        missing_[step.part].add(step, found == records_.end() ? "not measured" : found->second.error);
        continue;
      }
      results_.seconds += found->second.seconds;
      results_.part_seconds[std::string(name(step.part))] += found->second.seconds;
      add(step, found->second);
    }
    add_speeds();
    for (const auto& [part, reason] : settings_.left_out) results_.missing[std::string(name(part))] = reason;
    for (const std::string& reason : settings_.absent_tasks)
      missing_[ReportPart::kTasks].reasons.push_back(reason);
    for (const auto& [part, missing] : missing_) results_.missing[std::string(name(part))] = missing.text();
  }

 private:
  void add(const ReportStep& step, const StepRecord& record) {
    ReportVariant& variant = results_.variants[step.variant];
    switch (step.part) {
      case ReportPart::kModels:
        break;
      case ReportPart::kLimits:
        add_limits(limits_in(record.output, where_of(step)));
        break;
      case ReportPart::kSpeed:
        add_limits(limits_in(record.output, where_of(step)));
        for (const SpeedSample& sample : speeds_in(record.output, where_of(step), step.round))
          samples_[{step.variant, sample.prompt, sample.generate}].push_back(sample);
        break;
      case ReportPart::kMemory:
        variant.memory = memory_in(record.output, where_of(step));
        break;
      case ReportPart::kText:
        variant.text = text_in(record.output, where_of(step), step.variant == 0);
        variant.text->text = settings_.text.name;
        break;
      case ReportPart::kTasks:
        add_task(step, record);
        break;
    }
  }

  void add_limits(const MachineLimits& limits) {
    ReportMachine& machine = results_.machine;
    const MachineLimits best = larger(
        limits,
        {machine.integer_gmacs.value_or(0), machine.float_gmacs.value_or(0), machine.read_gbs.value_or(0)});
    machine.integer_gmacs = best.integer_gmacs;
    machine.float_gmacs = best.float_gmacs;
    machine.read_gbs = best.read_gbs;
  }

  void add_task(const ReportStep& step, const StepRecord& record) {
    ReportTask task = task_in(record.output, where_of(step));
    const auto reference = std::find_if(steps_.begin(), steps_.end(), [&](const ReportStep& other) {
      return other.part == ReportPart::kTasks && other.variant == 0 && other.task == step.task;
    });
    const auto found = step.variant == 0 ? records_.end() : records_.find(reference->key);
    if (found != records_.end() && found->second.done) {
      const std::vector<ReportAnswer>& theirs = found->second.answers;
      if (!same_questions(record.answers, theirs))
        fail(ErrorKind::kBadFile, "{} and {}: the answers are not to the same questions", step.label,
             reference->label);
      const auto ratio = [&](int64_t ReportAnswer::*choice) {
        return kept_ratio(paired_counts(right(record.answers, choice), right(theirs, choice)));
      };
      task.kept = ratio(&ReportAnswer::choice);
      task.kept_norm = ratio(&ReportAnswer::choice_norm);
    }
    results_.variants[step.variant].tasks.push_back(std::move(task));
  }

  // In the order of the settings.
  void add_speeds() {
    const auto add = [&](size_t variant, uint32_t prompt, uint32_t generate) {
      const auto found = samples_.find({variant, prompt, generate});
      if (found == samples_.end()) return;
      ReportSpeed speed;
      speed.test = prompt > 0 ? fmt::format("pp{}", prompt) : fmt::format("tg{}", generate);
      speed.prompt = prompt;
      speed.generate = generate;
      std::vector<double> shares;
      std::vector<std::string> limits;
      for (const SpeedSample& sample : found->second) {
        speed.samples.push_back(sample.tokens_per_second);
        speed.rounds.push_back(sample.round);
        shares.push_back(sample.share);
        limits.push_back(sample.limit);
      }
      speed.limit_share = median(shares);
      speed.limit = most_frequent(limits);
      results_.variants[variant].speeds.push_back(std::move(speed));
    };
    for (size_t variant = 0; variant < settings_.variants.size(); ++variant) {
      for (const uint32_t prompt : settings_.prompts) add(variant, prompt, 0);
      for (const uint32_t generate : settings_.generates) add(variant, 0, generate);
    }
  }

  const ReportSettings& settings_;
  const std::vector<ReportStep>& steps_;
  const std::map<std::string, StepRecord>& records_;
  ReportResults& results_;
  std::map<std::tuple<size_t, uint32_t, uint32_t>, std::vector<SpeedSample>> samples_;
  std::map<ReportPart, Missing> missing_;
};

}  // namespace

std::vector<ReportAnswer> read_answers(const std::string& path) {
  std::vector<ReportAnswer> answers;
  for (const Record& record : read_records(path)) {
    const JsonFields fields(record.fields, record.where);
    const auto index = [&](const char* key) { return static_cast<int64_t>(fields.get_uint(key, 0, 1000)); };
    answers.push_back({fields.get_string("id"), index("gold"), index("choice"), index("choice_norm")});
  }
  return answers;
}

void check_output(const ReportStep& step, const std::string& output) {
  switch (step.part) {
    case ReportPart::kModels:
      break;
    case ReportPart::kLimits:
      limits_in(output, where_of(step));
      break;
    case ReportPart::kSpeed:
      speeds_in(output, where_of(step), step.round);
      break;
    case ReportPart::kMemory:
      memory_in(output, where_of(step));
      break;
    case ReportPart::kText:
      text_in(output, where_of(step), step.variant == 0);
      break;
    case ReportPart::kTasks:
      task_in(output, where_of(step));
      break;
  }
}

void collect(const ReportSettings& settings, const std::vector<ReportStep>& steps,
             const std::map<std::string, StepRecord>& records, ReportResults& results) {
  Collector(settings, steps, records, results).collect();
}

}  // namespace stonechat
