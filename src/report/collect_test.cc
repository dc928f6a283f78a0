#include "report/collect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/json.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

ReportSettings settings() {
  ReportSettings settings;
  settings.variants = {{"f32", "f32", "f16", "f32.gguf", 4000}, {"q8_0", "q8_0", "f16", "q8_0.gguf", 1000}};
  settings.prompts = {256, 512};
  settings.generates = {50};
  settings.rounds = 3;
  settings.text = {"book.txt", "book.txt", "abc", 256, 0, 1000};
  settings.tasks = {{"arc_c", "data/arc_c/test.jsonl", "def", 0, 0, 5000}};
  return settings;
}

Json speed_test(int prompt, int generate, double speed, double share, const std::string& limit) {
  return {{"n_prompt", prompt},
          {"n_gen", generate},
          {"avg_ts", speed},
          {"share", share},
          {"limit", limit},
          {"limit_integer_gmacs", 480.0},
          {"limit_float_gmacs", 95.0},
          {"limit_read_gbs", 40 + speed / 100}};
}

Json text_output() {
  Json text = {{"window", 256}, {"windows", 4}, {"tokens", 508}, {"ppl", 20.5}, {"ppl_error", 0.5}};
  for (const char* key :
       {"mean_kl", "mean_kl_error", "median_kl", "p90_kl", "p99_kl", "p999_kl", "max_kl", "same_top",
        "same_top_error", "top5_overlap", "top5_overlap_error", "probability_difference",
        "probability_difference_error", "log_ppl_ratio", "log_ppl_ratio_error"})
    text[key] = 0.25;
  return text;
}

Json task_output(double acc) {
  return {{"task", "arc_c"},   {"shots", 0},      {"questions", 4},        {"acc", acc},
          {"acc_stderr", 0.1}, {"acc_norm", 0.5}, {"acc_norm_stderr", 0.2}};
}

class CollectTest : public testing::Test {
 protected:
  void set(const std::string& key, const Json& output, std::vector<ReportAnswer> answers = {}) {
    records_[key] = {true, "", 2, output.dump(), "", std::move(answers)};
  }
  ReportResults collected() {
    ReportResults results;
    collect(settings_, plan_steps(settings_), records_, results);
    return results;
  }

  ReportSettings settings_ = settings();
  std::map<std::string, StepRecord> records_;
};

TEST_F(CollectTest, RoundsBecomeSamples) {
  const double speeds[] = {100, 120, 110}, shares[] = {0.5, 0.9, 0.6};
  for (int round = 0; round < 3; ++round) {
    set("speed/q8_0/" + std::to_string(round + 1),
        {speed_test(256, 0, speeds[round], shares[round], round == 0 ? "read" : "integer"),
         speed_test(512, 0, 2 * speeds[round], 0.1, "integer"), speed_test(0, 50, 7, 0.8, "read")});
  }
  const ReportResults results = collected();
  const std::vector<ReportSpeed>& found = results.variants[1].speeds;
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].test, "pp256");
  EXPECT_THAT(found[0].samples, ElementsAre(100, 120, 110));
  EXPECT_EQ(found[0].limit_share, 0.6);
  EXPECT_EQ(found[0].limit, "integer");
  EXPECT_EQ(found[2].test, "tg50");
  EXPECT_EQ(found[2].limit, "read");
  EXPECT_TRUE(results.variants[0].speeds.empty());
  EXPECT_EQ(results.seconds, 6);
  EXPECT_EQ(results.part_seconds.at("speed"), 6);
}

TEST_F(CollectTest, SamplesKnowTheirRound) {
  for (const char* key : {"speed/f32/1", "speed/f32/2", "speed/q8_0/1", "speed/q8_0/3"})
    set(key, Json::array({speed_test(256, 0, 100, 0.5, "read")}));
  const ReportResults results = collected();
  EXPECT_THAT(results.variants[0].speeds.at(0).rounds, ElementsAre(1, 2));
  EXPECT_THAT(results.variants[1].speeds.at(0).rounds, ElementsAre(1, 3));
}

TEST_F(CollectTest, LimitsMemoryAndText) {
  set("limits", {{{"limit_integer_gmacs", 500.0}, {"limit_float_gmacs", 90.5}, {"limit_read_gbs", 40}}});
  const Json series = {{"minimum", 1}, {"median", 2}, {"p95", 3}, {"peak", 4}};
  set("memory/f32",
      {{{"n_prompt", 512},
        {"n_gen", 64},
        {"memory", {{"samples", 9}, {"series", {{"pss", series}}}, {"parts", {{"weights", 3}}}}}}});
  set("text/f32", text_output());
  set("text/q8_0", text_output());
  const ReportResults results = collected();
  EXPECT_EQ(results.machine.integer_gmacs, 500);
  EXPECT_EQ(results.machine.float_gmacs, 90.5);
  EXPECT_EQ(results.machine.read_gbs, 40);

  // The best of all times that a limit was measured.
  set("speed/q8_0/2", {speed_test(256, 0, 100, 0.5, "integer"), speed_test(0, 50, 50, 0.5, "read")});
  const ReportResults with_speed = collected();
  EXPECT_EQ(with_speed.machine.integer_gmacs, 500);
  EXPECT_EQ(with_speed.machine.float_gmacs, 95);
  EXPECT_EQ(with_speed.machine.read_gbs, 41);

  const ReportVariant& reference = results.variants[0];
  ASSERT_TRUE(reference.memory);
  EXPECT_EQ(reference.memory->context, 576U);
  EXPECT_EQ(reference.memory->series.at("pss").p95, 3U);
  EXPECT_EQ(reference.memory->parts.at("weights"), 3U);
  ASSERT_TRUE(reference.text && results.variants[1].text);
  EXPECT_EQ(reference.text->text, "book.txt");
  EXPECT_EQ(reference.text->perplexity.mean, 20.5);
  EXPECT_FALSE(reference.text->kl);
  EXPECT_EQ(results.variants[1].text->kl->mean, 0.25);
  EXPECT_EQ(results.variants[1].text->kl_percentiles.at("p999"), 0.25);
  EXPECT_EQ(results.variants[1].text->log_perplexity_ratio->standard_error, 0.25);
}

TEST_F(CollectTest, TasksAreComparedByQuestion) {
  // Right by likelihood: the reference 3, q8_0 2 of these; by likelihood a character 1 and 2.
  set("tasks/arc_c/f32", task_output(0.75), {{"a", 0, 0, 1}, {"b", 1, 1, 0}, {"c", 2, 2, 2}, {"d", 1, 0, 0}});
  set("tasks/arc_c/q8_0", task_output(0.5), {{"a", 0, 0, 0}, {"b", 1, 0, 0}, {"c", 2, 2, 2}, {"d", 1, 0, 0}});
  const ReportResults results = collected();
  const ReportTask& reference = results.variants[0].tasks.at(0);
  const ReportTask& variant = results.variants[1].tasks.at(0);
  EXPECT_EQ(reference.acc.mean, 0.75);
  EXPECT_FALSE(reference.kept);
  ASSERT_TRUE(variant.kept && variant.kept_norm);
  EXPECT_DOUBLE_EQ(variant.kept->value, 2.0 / 3);
  EXPECT_LT(variant.kept->low, 2.0 / 3);
  EXPECT_GT(variant.kept->high, 2.0 / 3);
  EXPECT_DOUBLE_EQ(variant.kept_norm->value, 2);

  records_["tasks/arc_c/q8_0"].answers[2].id = "x";
  EXPECT_THAT([&] { collected(); }, ThrowsMessage<Error>(HasSubstr("not to the same questions")));
}

TEST_F(CollectTest, TasksWithSubjectsHaveMacroAverages) {
  Json output = task_output(0.75);
  set("tasks/arc_c/f32", output);
  EXPECT_FALSE(collected().variants[0].tasks.at(0).acc_macro);
  output.update({{"acc_macro", 0.7},
                 {"acc_macro_stderr", 0.08},
                 {"acc_norm_macro", 0.6},
                 {"acc_norm_macro_stderr", 0.09}});
  set("tasks/arc_c/f32", output);
  const ReportResults results = collected();
  const ReportTask& task = results.variants[0].tasks.at(0);
  ASSERT_TRUE(task.acc_macro && task.acc_norm_macro);
  EXPECT_EQ(task.acc_macro->mean, 0.7);
  EXPECT_EQ(task.acc_norm_macro->standard_error, 0.09);
}

TEST_F(CollectTest, SaysWhatIsMissing) {
  settings_.left_out = {{ReportPart::kTasks, "no data"}};
  set("memory/f32", Json::array());
  records_["memory/f32"].done = false;
  records_["memory/f32"].error = "out of memory";
  const ReportResults results = collected();
  EXPECT_EQ(results.missing.at("tasks"), "no data");
  EXPECT_EQ(results.missing.at("memory"), "memory of q8_0: not measured; memory of f32: out of memory");
  EXPECT_EQ(results.missing.at("speed"), "speed of f32, round 1 and 5 more: not measured");
  EXPECT_TRUE(results.variants[0].is_reference);
  EXPECT_FALSE(results.variants[1].is_reference);
}

TEST_F(CollectTest, RefusesOtherOutput) {
  const auto steps = plan_steps(settings_);
  for (const ReportStep& step : steps) {
    EXPECT_THAT([&] { check_output(step, "no JSON"); }, ThrowsMessage<Error>(HasSubstr(step.label)));
    for (const char* text : {"[]", "{}", "[{}]", "[1]"})
      EXPECT_THROW(check_output(step, text), Error) << step.key << " " << text;
  }
}

TEST(ReadAnswers, NamesLineAndField) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("answers.jsonl");
  std::ofstream(path) << R"({"id": "a", "gold": 1, "choice": 2, "choice_norm": 0, "more": [1]})"
                      << "\n";
  EXPECT_THAT(read_answers(path), ElementsAre(ReportAnswer{"a", 1, 2, 0}));
  std::ofstream(path, std::ios::app) << R"({"id": "a", "gold": -1, "choice": 2, "choice_norm": 0})"
                                     << "\n";
  EXPECT_THAT([&] { read_answers(path); }, ThrowsMessage<Error>(HasSubstr("answers.jsonl:2: gold")));
}

}  // namespace
}  // namespace stonechat
