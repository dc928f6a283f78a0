// Tasks of one's own: what a file says becomes a task, and what it shouldn't say is named.
#include "eval/task_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class TaskFileTest : public testing::Test {
 protected:
  Task read(const std::string& json) {
    std::ofstream(directory_.file("t.json")) << json;
    return read_task_file(directory_.file("t.json"));
  }
  std::vector<Question> questions(const Task& task, const std::string& json) {
    std::ofstream(directory_.file("q.jsonl")) << json;
    return read_questions(task, directory_.file("q.jsonl"));
  }
  TemporaryDirectory directory_;
};

TEST_F(TaskFileTest, AnMmluTask) {
  const Task task = read(R"({"name": "mmlu", "description": "About {subject}.\n\n",
    "prompt": "{question|strip}\nA. {choices.0}\nB. {choices.1}\nAnswer:", "choices": ["A", "B"], "answer": "answer"})");
  const auto read =
      questions(task, R"({"question": " Wet? ", "subject": "rain", "choices": ["yes", "no"], "answer": 1})");
  const auto texts = choice_texts(task, read, read.at(0));
  EXPECT_EQ(texts.at(1).context,
            "About rain.\n\nWet?\nA. yes\nB. no\nAnswer: B\n\nWet?\nA. yes\nB. no\nAnswer:");
  EXPECT_EQ(texts.at(1).continuation, " B");
  EXPECT_EQ(read[0].gold, 1U);
}

TEST_F(TaskFileTest, EveryKey) {
  const Task task = read(R"({"name": "n", "prompt": ["{a}{b}:", "{a}"], "choices": "c", "labels": ["x", "y"],
    "answer": "l.0", "ending": "end [m] of {a}", "target_delimiter": "", "clean_wikihow": true})");
  const auto read = questions(task, R"({"a": "A [m]", "c": ["p [q]", "r"], "l": ["y"]})");
  const auto texts = choice_texts(task, {}, read.at(0));
  EXPECT_EQ(texts.at(0).context, "A p ");
  EXPECT_EQ(texts.at(0).continuation, "end [m] of A [m]");
  EXPECT_EQ(read[0].gold, 1U);
  EXPECT_THAT(read[0].choices, ElementsAre("p ", "r"));
}

TEST_F(TaskFileTest, WrongOnesAreRefused) {
  const std::string good = R"("name": "n", "prompt": "{a}", "choices": "c", "answer": "l")";
  EXPECT_NO_THROW(read("{" + good + "}"));
  const std::pair<std::string, std::string> cases[] = {
      {"{" + good + R"(, "promt": "x"})", "t.json: promt: not a key of task files"},
      {R"({"name": "n", "choices": "c", "answer": "l"})", "t.json: prompt: expected a text, found nothing"},
      {R"({"name": "", "prompt": "p", "choices": "c", "answer": "l"})", "t.json: name: expected"},
      {R"({"name": "n", "prompt": [], "choices": "c", "answer": "l"})",
       "t.json: prompt: expected at least one"},
      {R"({"name": "n", "prompt": ["a", 1], "choices": "c", "answer": "l"})",
       "t.json: prompt: expected texts"},
      {R"({"name": "n", "prompt": "{a", "choices": "c", "answer": "l"})", "t.json: prompt: expected {FIELD}"},
      {R"({"name": "n", "prompt": "p", "choices": ["a"], "answer": "l"})",
       "t.json: choices: expected 2 to 26"},
      {R"({"name": "n", "prompt": "p", "choices": 4, "answer": "l"})", "t.json: choices: expected a text"},
      {R"({"name": "n", "prompt": "p", "choices": "", "answer": "l"})", "t.json: choices: expected a field"},
      {R"({"name": "n", "prompt": "p", "choices": ["a", "b"], "labels": ["a"], "answer": "l"})",
       "t.json: labels: expected as many as choices, 2"},
      {"{" + good + R"(, "labels": ""})", "t.json: labels: expected a field"},
      {"{" + good + R"(, "ending": 1})", "t.json: ending: expected a text"},
      {"{" + good + R"(, "clean_wikihow": 1})", "t.json: clean_wikihow: expected true or false"},
      {"{" + good + R"(, "name": "m"})", "expected each key once"},
      {"[]", "expected a JSON object"},
  };
  for (const auto& [json, expected] : cases) {
    try {
      read(json);
      ADD_FAILURE() << json;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
      EXPECT_THAT(error.what(), HasSubstr(expected));
    }
  }
}

}  // namespace
}  // namespace stonechat
