#include "report/step_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace stonechat {
namespace {

using testing::ElementsAre;
using testing::IsSupersetOf;

ReportSettings plan_settings() {
  ReportSettings settings;
  settings.variants = {{"f32", "f32", "f16", "m/f32.gguf", 4000},
                       {"q8_0", "q8_0", "f16", "m/q8_0.gguf", 1000},
                       {"q8_0 + q8_0 cache", "q8_0", "q8_0", "m/q8_0.gguf", 1000}};
  settings.parameters = 1000;
  settings.threads = 2;
  settings.prompts = {256, 512};
  settings.generates = {50};
  settings.rounds = 2;
  settings.memory_prompt = 512;
  settings.memory_generate = 64;
  settings.text = {"built-in", "out/text.txt", "abc", 256, 8, 1000};
  settings.tasks = {{"arc_c", "data/arc_c/test.jsonl", "def", 25, 100, 5000}};
  settings.samples_directory = "out/samples";
  return settings;
}

std::vector<std::string> keys(const std::vector<ReportStep>& steps, ReportPart part) {
  std::vector<std::string> result;
  for (const ReportStep& step : steps) {
    if (step.part == part) result.push_back(step.key);
  }
  return result;
}

const ReportStep& find(const std::vector<ReportStep>& steps, const std::string& key) {
  return *std::find_if(steps.begin(), steps.end(), [&](const auto& step) { return step.key == key; });
}

TEST(StepPlan, VariantsTakeTurnsInRounds) {
  const auto steps = plan_steps(plan_settings());
  EXPECT_THAT(keys(steps, ReportPart::kSpeed),
              ElementsAre("speed/f32/1", "speed/q8_0/1", "speed/q8_0 + q8_0 cache/1", "speed/q8_0/2",
                          "speed/q8_0 + q8_0 cache/2", "speed/f32/2"));
  EXPECT_EQ(steps[0].part, ReportPart::kLimits);
  std::set<std::string> different;
  for (const ReportStep& step : steps) different.insert(step.key);
  EXPECT_EQ(different.size(), steps.size());
}

TEST(StepPlan, ArgumentsNameModelAndCache) {
  const auto steps = plan_steps(plan_settings());
  EXPECT_THAT(find(steps, "speed/q8_0 + q8_0 cache/2").arguments,
              ElementsAre("bench", "-m", "m/q8_0.gguf", "-p", "256,512", "-n", "50", "-r", "1", "-o", "json",
                          "--roofline", "--cache-type-k", "q8_0", "--cache-type-v", "q8_0"));
  EXPECT_THAT(find(steps, "text/f32").arguments,
              ElementsAre("eval", "ppl", "m/f32.gguf", "--text", "out/text.txt", "--context", "256", "--json",
                          "--windows", "8", "--cache-type-k", "f16", "--cache-type-v", "f16"));
  EXPECT_THAT(find(steps, "text/q8_0").arguments,
              IsSupersetOf({"kl", "m/q8_0.gguf", "--against", "m/f32.gguf", "--against-cache-type-k"}));
  const ReportStep& task = find(steps, "tasks/arc_c/q8_0 + q8_0 cache");
  EXPECT_EQ(task.samples, "out/samples/arc_c.q8_0.q8_0-cache.jsonl");
  EXPECT_THAT(task.arguments, IsSupersetOf({"eval", "arc_c", "--shots", "25", "--limit", "100"}));
}

TEST(StepPlan, OtherInputsAreOtherSteps) {
  const auto before = plan_steps(plan_settings());
  ReportSettings changed = plan_settings();
  changed.text.sha256 = "xyz";
  changed.tasks[0].limit = 50;
  const auto after = plan_steps(changed);
  EXPECT_NE(find(before, "text/f32").inputs, find(after, "text/f32").inputs);
  EXPECT_NE(find(before, "tasks/arc_c/f32").inputs, find(after, "tasks/arc_c/f32").inputs);
  EXPECT_EQ(find(before, "speed/f32/1").inputs, find(after, "speed/f32/1").inputs);
}

TEST(StepPlan, LeavesPartsOut) {
  ReportSettings without = plan_settings();
  without.left_out = {{ReportPart::kTasks, "no data"}, {ReportPart::kSpeed, "x"}};
  const auto steps = plan_steps(without);
  EXPECT_TRUE(keys(steps, ReportPart::kTasks).empty());
  EXPECT_TRUE(keys(steps, ReportPart::kSpeed).empty());
  EXPECT_EQ(keys(steps, ReportPart::kMemory).size(), 3U);
}

TEST(StepPlan, PartsHaveNames) {
  for (const ReportPart part : kMeasuringParts) EXPECT_EQ(part_from_name(name(part)), part);
  EXPECT_FALSE(part_from_name("models"));
  EXPECT_FALSE(part_from_name("speeds"));
}

TEST(StepClock, PredictsByWhatStepsTook) {
  const auto steps = plan_steps(plan_settings());
  StepClock clock;
  const ReportStep& first = find(steps, "speed/q8_0/1");
  EXPECT_EQ(clock.predict(first), first.guess);
  EXPECT_GT(first.guess, 0);
  clock.add(first, 3 * first.guess);
  EXPECT_DOUBLE_EQ(clock.predict(find(steps, "speed/q8_0/2")), 3 * first.guess);
  const ReportStep& same_part = find(steps, "speed/f32/1");
  EXPECT_DOUBLE_EQ(clock.predict(same_part), 3 * same_part.guess);
  clock.add(find(steps, "text/f32"), 0.5 * find(steps, "text/f32").guess);
  EXPECT_DOUBLE_EQ(clock.predict(same_part), 3 * same_part.guess);
  const ReportStep& other_part = find(steps, "memory/f32");
  EXPECT_GT(clock.predict(other_part), 0.5 * other_part.guess);
  EXPECT_LT(clock.predict(other_part), 3 * other_part.guess);
}

}  // namespace
}  // namespace stonechat
