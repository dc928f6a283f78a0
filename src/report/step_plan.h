// The steps that a report is measured in: each a run of this program with `arguments`, whose JSON output is
// kept. So a report can be interrupted between any two, and a part of it done again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stonechat {

enum class ReportPart { kModels, kLimits, kSpeed, kMemory, kText, kTasks };

std::string_view name(ReportPart part);  // "speed"
// Of the parts that measure: all but kModels.
std::optional<ReportPart> part_from_name(std::string_view name);
inline constexpr ReportPart kMeasuringParts[] = {ReportPart::kLimits, ReportPart::kSpeed, ReportPart::kMemory,
                                                 ReportPart::kText, ReportPart::kTasks};

// A file of the model in one type, and how its keys and values are cached.
struct PlannedVariant {
  std::string name;     // "q8_0 + q8_0 cache": unique
  std::string weights;  // "q8_0"
  std::string cache;    // "q16"
  std::string path;
  uint64_t bytes = 0;  // of the file; may be a prediction
};

struct PlannedTask {
  std::string name;  // "arc_c"
  std::string data;  // path
  std::string data_sha256;
  uint32_t shots = 0;
  uint32_t limit = 0;  // 0: all
  double tokens = 0;   // guessed, of all questions with their choices
};

struct PlannedText {
  std::string name;  // as results call it
  std::string path;
  std::string sha256;
  uint32_t window = 0;
  uint32_t windows = 0;  // 0: all
  double tokens = 0;     // guessed, of these windows
};

struct ReportSettings {
  std::vector<PlannedVariant> variants;  // the first is the reference
  uint64_t parameters = 0;
  uint32_t threads = 1;
  std::vector<uint32_t> prompts, generates;  // tokens
  uint32_t rounds = 1;
  uint32_t memory_prompt = 0, memory_generate = 0;  // tokens
  PlannedText text;
  std::vector<PlannedTask> tasks;
  std::vector<std::string> absent_tasks;       // why tasks are not among these
  std::string samples_directory;               // of tasks' answers
  std::string answers_path;                    // where tasks keep answers as they come
  std::map<ReportPart, std::string> left_out;  // parts, and why
};

struct ReportStep {
  ReportPart part = ReportPart::kModels;
  std::string key;    // "speed/q8_0/2": unique
  std::string kind;   // "speed/q8_0": steps of one kind take equally long
  std::string label;  // "speed of q8_0, round 2"
  size_t variant = 0;
  std::string task;                    // of the part "tasks"
  uint32_t round = 0;                  // of the part "speed", from 1
  std::vector<std::string> arguments;  // of this program
  // What was measured, besides the model: a result with other inputs is another step's.
  std::string inputs;
  std::string samples;  // path of the answers that a task writes; else empty
  double guess = 0;     // seconds
};

// Of all parts that aren't left out, in the order in which they are measured. In each round of "speed" the
// variants take turns, each round beginning with another one.
std::vector<ReportStep> plan_steps(const ReportSettings& settings);

// What steps will take, by what others took: those of one kind the same; others their guess, times how far
// off the guesses were, in their part or else in all that measure.
class StepClock {
 public:
  void add(const ReportStep& step, double seconds);
  double predict(const ReportStep& step) const;

 private:
  struct Sum {
    double seconds = 0, guess = 0;
    uint32_t steps = 0;
  };
  std::map<std::string, Sum> of_kind_;
  std::map<ReportPart, Sum> of_part_;
  Sum measuring_;
};

}  // namespace stonechat
