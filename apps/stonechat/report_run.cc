#include "report_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>

#include "base/child_process.h"
#include "base/error.h"
#include "interrupt.h"
#include "report/collect.h"
#include "report/number_text.h"
#include "report_display.h"
#include "utc_time.h"

namespace stonechat {
namespace {

constexpr const char* kErrorPrefix = "stonechat: ";

// What a child says at last is why it failed; where it doesn't take its arguments, what it says first.
std::string reason_of(const ChildStreams& child) {
  std::string_view text = child.errors;
  const size_t begin = text.rfind(kErrorPrefix);
  if (begin != std::string_view::npos) text.remove_prefix(begin + std::string_view(kErrorPrefix).size());
  text = text.substr(0, text.find('\n'));
  return text.empty() ? fmt::format("exit code {}", child.exit_code) : std::string(text);
}

StepRecord measure(const ReportStep& step, ReportDisplay& display) {
  StepRecord record;
  record.started = utc_now();
  std::vector<std::string> words = {kThisProgram};
  words.insert(words.end(), step.arguments.begin(), step.arguments.end());
  const auto start = std::chrono::steady_clock::now();
  const auto should_stop = [&] {
    display.tick();
    return interrupted();
  };
  ChildStreams child = run_child_apart(words, should_stop);
  // On a terminal Ctrl-C reaches the child too.
  if (interrupted()) fail(ErrorKind::kInterrupted, "interrupted");
  record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (child.exit_code != 0) {
    record.error = reason_of(child);
    return record;
  }
  try {
    check_output(step, child.output);
    if (!step.samples.empty()) record.answers = read_answers(step.samples);
    record.output = std::move(child.output);
    record.done = true;
  } catch (const Error& error) {
    record.error = error.what();
  }
  return record;
}

double seconds_left(const std::vector<ReportStep>& pending, size_t begin, const StepClock& clock) {
  double seconds = 0;
  for (size_t i = begin; i < pending.size(); ++i) seconds += clock.predict(pending[i]);
  return seconds;
}

}  // namespace

uint32_t run_steps(const ReportSettings& settings, const std::vector<ReportStep>& pending, StepClock& clock,
                   ReportState& state, std::map<std::string, StepRecord>& records) {
  ReportDisplay display(pending.size());
  std::map<std::string, std::string> unmade;  // types, and why
  uint32_t failures = 0;
  for (size_t i = 0; i < pending.size(); ++i) {
    const ReportStep& step = pending[i];
    const bool is_model = step.part == ReportPart::kModels;
    const std::string type = is_model ? step.inputs : settings.variants[step.variant].weights;
    StepRecord record;
    if (const auto found = unmade.find(type); found != unmade.end()) {
      record.started = utc_now();
      record.error = fmt::format("making {}: {}", type, found->second);
      display.skip();
    } else {
      display.begin(step.label, seconds_left(pending, i, clock));
      record = measure(step, display);
      if (record.done) clock.add(step, record.seconds);
      display.end(record.seconds, seconds_left(pending, i + 1, clock));
      if (!record.done) display.say(fmt::format("{}: {}", step.label, record.error));
    }
    failures += record.done ? 0 : 1;
    if (is_model && !record.done) {
      if (type == settings.variants[0].weights)
        fail(ErrorKind::kIo, "{}: nothing can be measured", step.label);
      unmade[type] = record.error;
    }
    state.save(step, is_model ? type : settings.variants[step.variant].name, record);
    records[step.key] = std::move(record);
  }
  return failures;
}

std::string times_text(const std::vector<ReportStep>& steps, const StepClock& clock) {
  std::map<ReportPart, double> of_part;
  for (const ReportStep& step : steps) of_part[step.part] += clock.predict(step);
  std::vector<std::string> parts;
  for (const auto& [part, seconds] : of_part)
    parts.push_back(fmt::format("{} {}", name(part), duration_text(seconds)));
  return fmt::format("about {}: {}", duration_text(seconds_left(steps, 0, clock)), fmt::join(parts, ", "));
}

}  // namespace stonechat
