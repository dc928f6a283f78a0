#include "report/variants.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/paper.h"

namespace stonechat {

const ReportVariant& reference_of(const ReportResults& results) {
  return *std::find_if(results.variants.begin(), results.variants.end(),
                       [](const ReportVariant& variant) { return variant.is_reference; });
}

const ReportVariant* find_weights(const ReportResults& results, const std::string& weights) {
  for (const char* cache : {"q16", "f16", "f32", ""}) {
    for (const ReportVariant& variant : results.variants) {
      if (variant.weights == weights && (*cache == 0 || variant.cache == cache)) return &variant;
    }
  }
  return nullptr;
}

const ReportSpeed* find_speed(const ReportVariant& variant, const std::string& test) {
  for (const ReportSpeed& speed : variant.speeds) {
    if (speed.test == test) return &speed;
  }
  return nullptr;
}

const ReportTask* find_task(const ReportVariant& variant, const std::string& task, uint32_t shots) {
  for (const ReportTask& one : variant.tasks) {
    if (one.task == task && one.shots == shots) return &one;
  }
  return nullptr;
}

const MemorySeries* find_process_memory(const ReportVariant& variant) {
  if (!variant.memory) return nullptr;
  for (const char* name : {"pss", "rss"}) {
    if (const auto found = variant.memory->series.find(name); found != variant.memory->series.end())
      return &found->second;
  }
  return nullptr;
}

const ReportSpeed* paper_prompt(const ReportVariant& variant) {
  const auto distance = [](const ReportSpeed& speed) {
    return std::fabs(static_cast<double>(speed.prompt) - static_cast<double>(paper::kPrompt));
  };
  const ReportSpeed* nearest = nullptr;
  for (const ReportSpeed& speed : variant.speeds) {
    if (speed.generate != 0) continue;
    if (nearest == nullptr || distance(speed) < distance(*nearest)) nearest = &speed;
  }
  return nearest;
}

const ReportSpeed* paper_decode(const ReportVariant& variant) {
  const ReportSpeed* first = nullptr;
  for (const ReportSpeed& speed : variant.speeds) {
    if (speed.prompt != 0) continue;
    if (speed.generate == 100) return &speed;
    if (first == nullptr) first = &speed;
  }
  return first;
}

std::string title_of(const ReportSpeed& speed) {
  if (speed.generate == 0) return fmt::format("prompt of {}", speed.prompt);
  if (speed.prompt == 0) return fmt::format("decode of {}", speed.generate);
  return fmt::format("prompt of {} and decode of {}", speed.prompt, speed.generate);
}

std::string title_of(const ReportTask& task) {
  return fmt::format("{}, {} {}", task.task, task.shots, task.shots == 1 ? "shot" : "shots");
}

std::string limit_title(const std::string& limit) {
  if (limit == "read") return "reading memory";
  if (limit == "integer") return "integer arithmetic";
  if (limit == "float") return "floating-point arithmetic";
  return "";
}

double mean_speed(const ReportSpeed& speed) {
  return estimate(speed.samples).mean;
}

SpeedRatio speed_ratio(const ReportSpeed& speed, const ReportSpeed& over) {
  std::vector<double> values;
  std::vector<double> of_over;
  for (size_t i = 0; i < speed.rounds.size(); ++i) {
    const auto same = std::find(over.rounds.begin(), over.rounds.end(), speed.rounds[i]);
    if (same == over.rounds.end()) continue;
    values.push_back(speed.samples[i]);
    of_over.push_back(over.samples[static_cast<size_t>(same - over.rounds.begin())]);
  }
  std::optional<Interval> interval = paired_ratio(values, of_over);
  if (!interval) interval = welch_ratio(speed.samples, over.samples);
  return {interval ? interval->value : mean_speed(speed) / mean_speed(over), interval};
}

uint64_t values_of_errors(const ReportText& text) {
  return text.windows > 1 ? text.windows : std::max<uint64_t>(2, text.tokens);
}

Interval perplexity_ratio(const ReportText& text, const ReportText& over) {
  if (text.log_perplexity_ratio)
    return exponential(interval_of(*text.log_perplexity_ratio, values_of_errors(text)));
  const auto logarithm = [](const Estimate& of) {
    return Estimate{std::log(of.mean), of.standard_error / of.mean};
  };
  return exponential(welch_difference(logarithm(text.perplexity), values_of_errors(text),
                                      logarithm(over.perplexity), values_of_errors(over)));
}

}  // namespace stonechat
