// Answers come back whole, and only for a run that is the same.
#include "eval/answer_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using testing::HasSubstr;

QuestionSet questions() {
  QuestionSet set;
  set.task.name = "piqa";
  for (int i = 0; i < 3; ++i) {
    Question question;
    question.id = "q" + std::to_string(i);
    question.prompt = "p" + question.id;
    question.choices = {"a", "b"};
    set.questions.push_back(question);
  }
  return set;
}

RunDescription run() {
  return {.program = "1", .model = "m.gguf", .model_sha256 = "abc", .cache = {}, .context = 64};
}

TEST(AnswerStore, AnswersComeBackBitByBit) {
  const TemporaryDirectory directory;
  const QuestionSet set = questions();
  ChoiceScores scores{.log_likelihoods = {-1.0 / 3, -1e-300}, .truncated = true};
  {
    AnswerStore store(directory.file("r.sqlite"));
    const int64_t number = store.open_runs(run(), std::span(&set, 1)).at(0);
    store.add(number, 2, set.questions[2], answer_of(set.questions[2], scores));
    store.flush();
  }
  AnswerStore store(directory.file("r.sqlite"));
  const auto answers = store.answers(store.open_runs(run(), std::span(&set, 1)).at(0), set);
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers.at(2).scores.log_likelihoods, scores.log_likelihoods);
  EXPECT_TRUE(answers.at(2).scores.truncated);
  EXPECT_EQ(answers.at(2).choice, 1U);
}

TEST(AnswerStore, WhatAnAnswerDependsOnMakesTheRun) {
  const QuestionSet set = questions();
  const std::string print = fingerprint(run(), set);
  RunDescription other = run();
  other.model = "elsewhere/m.gguf";
  EXPECT_EQ(fingerprint(other, set), print);
  other.model_sha256 = "abd";
  EXPECT_NE(fingerprint(other, set), print);
  other = run();
  other.cache.keys = kCacheQ8;
  EXPECT_NE(fingerprint(other, set), print);
  other = run();
  other.context = 65;
  EXPECT_NE(fingerprint(other, set), print);
  other = run();
  other.program = "2";
  EXPECT_NE(fingerprint(other, set), print);
  QuestionSet asked = set;
  asked.questions[1].gold = 1;
  EXPECT_NE(fingerprint(run(), asked), print);
  asked = set;
  asked.questions[2].choices[1] = "c";
  EXPECT_NE(fingerprint(run(), asked), print);
  asked = set;
  asked.shots = 1;
  asked.drawn = {0, 1};
  EXPECT_NE(fingerprint(run(), asked), print);
}

TEST(AnswerStore, ForgetsOneRun) {
  const TemporaryDirectory directory;
  const QuestionSet set = questions();
  AnswerStore store(directory.file("r.sqlite"));
  RunDescription other = run();
  other.context = 65;
  const int64_t first = store.open_runs(run(), std::span(&set, 1)).at(0);
  const int64_t second = store.open_runs(other, std::span(&set, 1)).at(0);
  EXPECT_EQ(store.open_runs(run(), std::span(&set, 1)).at(0), first);
  for (const int64_t number : {first, second})
    store.add(number, 0, set.questions[0], answer_of(set.questions[0], {.log_likelihoods = {-1, -2}}));
  store.flush();
  store.forget(first);
  EXPECT_TRUE(store.answers(first, set).empty());
  EXPECT_EQ(store.answers(second, set).size(), 1U);
}

TEST(AnswerStore, ADamagedAnswerIsNamed) {
  const TemporaryDirectory directory;
  const QuestionSet set = questions();
  const std::string path = directory.file("r.sqlite");
  AnswerStore store(path);
  const int64_t number = store.open_runs(run(), std::span(&set, 1)).at(0);
  store.add(number, 1, set.questions[1], answer_of(set.questions[1], {.log_likelihoods = {-1, -2}}));
  store.flush();
  for (const std::string change :
       {"log_likelihoods = '[-1]'", "log_likelihoods = '[-1,null]'", "log_likelihoods = 'x'",
        "log_likelihoods = 5", "truncated = NULL", "question = 3"}) {
    const auto saved = Database(path).query("SELECT * FROM task_answers");
    Database(path).execute("UPDATE task_answers SET " + change);
    try {
      store.answers(number, set);
      ADD_FAILURE() << change;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
      EXPECT_THAT(error.what(), HasSubstr("r.sqlite: task_answers"));
    }
    Database(path).execute("DELETE FROM task_answers");
    Database(path).query("INSERT INTO task_answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)", saved.at(0));
  }
  EXPECT_EQ(store.answers(number, set).size(), 1U);
}

}  // namespace
}  // namespace stonechat
