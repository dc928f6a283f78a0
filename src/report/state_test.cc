#include "report/state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

ReportStep step(ReportPart part, const std::string& key, const std::string& inputs) {
  ReportStep step;
  step.part = part;
  step.key = key;
  step.inputs = inputs;
  return step;
}

class ReportStateTest : public testing::Test {
 protected:
  ReportState open(const std::map<std::string, std::string>& identity = {{"model", "abc"},
                                                                         {"version", "1"}}) {
    return ReportState(path_, "the-report", identity, "2026-01-0" + std::to_string(++opened_));
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.file("results.sqlite");
  int opened_ = 0;
  const ReportStep speed_ = step(ReportPart::kSpeed, "speed/f32/1", "-p 512");
  const ReportStep task_ = step(ReportPart::kTasks, "tasks/arc_c/f32", "--shots 0");
};

TEST_F(ReportStateTest, KeepsWhatStepsGave) {
  StepRecord done{true, "2026-01-01", 2.5, "[1]", "", {}};
  StepRecord answered{true, "2026-01-02", 1, "{}", "", {{"q1", 0, 1, 2}, {"q2", 3, 3, 3}}};
  {
    ReportState state = open();
    state.save(speed_, "f32", done);
    state.save(task_, "f32", answered);
  }
  ReportState state = open();
  EXPECT_EQ(state.started(), "2026-01-01");
  const auto records = state.records({speed_, task_});
  ASSERT_EQ(records.size(), 2U);
  const StepRecord& first = records.at(speed_.key);
  EXPECT_TRUE(first.done);
  EXPECT_EQ(first.seconds, 2.5);
  EXPECT_EQ(first.output, "[1]");
  EXPECT_EQ(records.at(task_.key).answers, answered.answers);
}

TEST_F(ReportStateTest, ReplacesAndForgets) {
  ReportState state = open();
  state.save(task_, "f32", {true, "", 1, "{}", "", {{"q1", 0, 1, 2}, {"q2", 3, 3, 3}}});
  state.save(speed_, "f32", {false, "", 1, "", "it broke", {}});
  state.save(task_, "f32", {true, "", 1, "{}", "", {{"q1", 0, 0, 0}}});
  EXPECT_EQ(state.records({task_}).at(task_.key).answers.size(), 1U);
  EXPECT_FALSE(state.records({speed_}).at(speed_.key).done);
  EXPECT_EQ(state.records({speed_}).at(speed_.key).error, "it broke");
  EXPECT_TRUE(state.records({step(ReportPart::kSpeed, speed_.key, "-p 1024")}).empty());
  state.forget(ReportPart::kTasks);
  EXPECT_TRUE(state.records({task_}).empty());
  EXPECT_EQ(state.records({speed_, task_}).size(), 1U);
}

TEST_F(ReportStateTest, RefusesAnothersResults) {
  open();
  EXPECT_THAT(
      [&] {
        open({{"model", "xyz"}, {"version", "1"}});
      },
      ThrowsMessage<Error>(HasSubstr("the-report: has the results of another model: 'abc'")));
  EXPECT_THAT(
      [&] {
        open({{"model", "abc"}, {"version", "2"}});
      },
      ThrowsMessage<Error>(HasSubstr("another version: '1', this is '2'")));
}

TEST_F(ReportStateTest, RefusesOtherFiles) {
  { std::ofstream(path_) << "not a database, but a text of some length that stands in its place"; }
  EXPECT_THAT([&] { open(); }, ThrowsMessage<Error>(HasSubstr("results.sqlite")));
  std::remove(path_.c_str());
  Database(path_).execute("PRAGMA user_version = 7");
  EXPECT_THAT([&] { open(); }, ThrowsMessage<Error>(HasSubstr("of schema 1, found 7")));
}

}  // namespace
}  // namespace stonechat
