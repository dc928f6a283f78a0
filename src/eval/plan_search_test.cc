#include "eval/plan_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>

namespace stonechat {
namespace {

using testing::ElementsAre;

const std::vector<StackCost> kStacks = {
    {"a", 0.010, 100},  // 1e-4 a byte
    {"b", 0.100, 200},  // 5e-4 a byte
    {"c", 0.001, 1},    // 1e-3 a byte
    {"d", 0.050, 500},  // 1e-4 a byte, after a
};

TEST(ChooseBetter, TakesWhatSavesMostAByte) {
  const PlanChoice choice = choose_better(kStacks, 0.06, INT64_MAX / 2);
  EXPECT_THAT(choice.better, ElementsAre(false, true, true, false));
  EXPECT_DOUBLE_EQ(choice.predicted_kl, 0.06);
  EXPECT_EQ(choice.bytes, 201);
  EXPECT_THAT(choose_better(kStacks, 0.055, INT64_MAX / 2).better, ElementsAre(true, true, true, false));
}

TEST(ChooseBetter, StaysPlainWhereThatIsEnough) {
  const PlanChoice choice = choose_better(kStacks, 0.2, INT64_MAX / 2);
  EXPECT_THAT(choice.better, ElementsAre(false, false, false, false));
  EXPECT_EQ(choice.bytes, 0);
  EXPECT_NEAR(choice.predicted_kl, 0.161, 1e-12);
}

TEST(ChooseBetter, LeavesOutWhatTheBudgetDoesNotHold) {
  const PlanChoice choice = choose_better(kStacks, 0, 150);
  EXPECT_THAT(choice.better, ElementsAre(true, false, true, false));
  EXPECT_EQ(choice.bytes, 101);
  EXPECT_THAT(choose_better(kStacks, 0, -1).better, ElementsAre(false, false, false, false));
}

TEST(ChooseBetter, TakesWhatCostsNothingFirst) {
  const std::vector<StackCost> stacks = {{"a", 1.0, 10}, {"b", 1e-6, -4}, {"c", 1e-6, 0}};
  const PlanChoice choice = choose_better(stacks, 0, 6);
  EXPECT_THAT(choice.better, ElementsAre(true, true, true));
  EXPECT_EQ(choice.bytes, 6);
  EXPECT_EQ(choice.predicted_kl, 0);
}

TEST(ChooseBetter, NoStacks) {
  EXPECT_EQ(choose_better({}, 0.1, 100).predicted_kl, 0);
}

}  // namespace
}  // namespace stonechat
