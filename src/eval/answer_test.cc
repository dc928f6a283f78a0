// Which choice is taken, accuracies and their errors.
#include "eval/answer.h"

#include <gtest/gtest.h>

#include <cmath>

namespace stonechat {
namespace {

Answer answer(std::vector<double> log_likelihoods, std::vector<std::string> choices, uint32_t gold) {
  Question question;
  question.choices = std::move(choices);
  question.gold = gold;
  return answer_of(question, {.log_likelihoods = std::move(log_likelihoods)});
}

TEST(Answer, LengthsAreInCodePoints) {
  // By sums the first, by length the second: -6 / 3 characters (9 bytes) against -3 / 1.
  const Answer one = answer({-3, -6}, {"a", "水水水"}, 1);
  EXPECT_EQ(one.choice, 0U);
  EXPECT_EQ(one.choice_norm, 1U);
  EXPECT_FALSE(one.right);
  EXPECT_TRUE(one.right_norm);
  // In bytes it would be the second: -8 / 9 against -1 / 1.
  EXPECT_EQ(answer({-1, -8}, {"a", "水水水"}, 0).choice_norm, 0U);
}

TEST(Answer, OfEqualsTheFirstCounts) {
  const Answer tie = answer({-2, -1, -1}, {"aa", "a", "b"}, 1);
  EXPECT_EQ(tie.choice, 1U);
  EXPECT_EQ(tie.choice_norm, 0U);
}

TEST(Answer, AccuracyAndItsErrors) {
  std::vector<Answer> answers;
  for (const uint32_t gold : {0U, 0U, 0U, 1U}) answers.push_back(answer({-1, -2}, {"a", "b"}, gold));
  const Accuracy of_four = accuracy(answers);
  EXPECT_EQ(of_four.questions, 4U);
  EXPECT_DOUBLE_EQ(of_four.acc.mean, 0.75);
  EXPECT_DOUBLE_EQ(of_four.acc.standard_error, std::sqrt(0.75 * 0.25 / 3));
  EXPECT_DOUBLE_EQ(of_four.acc_norm.mean, 0.75);
}

TEST(Answer, MacroAverageCountsPartsAlike) {
  const Accuracy small{10, {0.5, 0.03}, {0.2, 0.0}};
  const Accuracy large{1000, {0.7, 0.04}, {0.4, 0.06}};
  const std::vector<Accuracy> parts = {small, large};
  const Accuracy macro = macro_average(parts);
  EXPECT_EQ(macro.questions, 1010U);
  EXPECT_DOUBLE_EQ(macro.acc.mean, 0.6);
  EXPECT_DOUBLE_EQ(macro.acc.standard_error, 0.025);  // sqrt(0.03^2 + 0.04^2) / 2
  EXPECT_DOUBLE_EQ(macro.acc_norm.mean, 0.3);
  EXPECT_DOUBLE_EQ(macro.acc_norm.standard_error, 0.03);
}

}  // namespace
}  // namespace stonechat
