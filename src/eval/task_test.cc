// Exact prompts of the built-in tasks. The records are made up; the expected texts are what
// lm-evaluation-harness 0.4.13 makes of them.
#include "eval/task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "eval/builtin_tasks.h"
#include "eval/question_set.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Task task_named(std::string_view name) {
  for (const Task& task : builtin_tasks()) {
    if (task.name == name) return task;
  }
  throw std::runtime_error("no such task");
}

class TaskTest : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(directory_.file(name)) << text;
    return directory_.file(name);
  }
  std::vector<Question> read(const Task& task, const std::string& text, const std::string& name = "q.jsonl") {
    return read_questions(task, write(name, text));
  }
  // Contexts and continuations one after the other.
  std::vector<std::string> texts(const Task& task, const std::string& record) {
    const std::vector<Question> questions = read(task, record);
    std::vector<std::string> all;
    for (const ChoiceText& text : choice_texts(task, {}, questions.at(0))) {
      all.push_back(text.context);
      all.push_back(text.continuation);
    }
    return all;
  }
  std::string error_of(const Task& task, const std::string& record) {
    try {
      read(task, record);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
      return error.what();
    }
    return "no error";
  }

  TemporaryDirectory directory_;
};

TEST_F(TaskTest, Arc) {
  const std::string record =
      R"({"id": "x1", "question": "Which is wet?", "choices": {"text": ["sand", " rain "], "label": ["A", "B"]}, "answerKey": "B"})";
  for (const char* name : {"arc_c", "arc_easy"}) {
    const Task task = task_named(name);
    EXPECT_THAT(texts(task, record), ElementsAre("Question: Which is wet?\nAnswer:", " sand",
                                                 "Question: Which is wet?\nAnswer:", "  rain "));
    const Question question = read(task, record)[0];
    EXPECT_EQ(question.id, "x1");
    EXPECT_EQ(question.gold, 1U);
  }
}

TEST_F(TaskTest, ShotsComeBeforeWithTheirAnswers) {
  const Task task = task_named("arc_c");
  const auto questions = read(
      task,
      R"({"question": "Which is wet?", "choices": {"text": ["sand", "rain"], "label": ["1", "2"]}, "answerKey": "2"})"
      "\n"
      R"({"question": "Which is dry?", "choices": {"text": ["sand", "rain"], "label": ["1", "2"]}, "answerKey": "1"})"
      "\n");
  const std::vector<Question> shots(2, questions[0]);
  const auto texts = choice_texts(task, shots, questions[1]);
  EXPECT_EQ(texts[1].context,
            "Question: Which is wet?\nAnswer: rain\n\nQuestion: Which is wet?\nAnswer: rain\n\n"
            "Question: Which is dry?\nAnswer:");
  EXPECT_EQ(texts[1].continuation, " rain");
  EXPECT_EQ(questions[1].id, "1");
}

TEST_F(TaskTest, HellaswagLosesItsMarks) {
  const Task task = task_named("hellaswag");
  EXPECT_THAT(
      texts(
          task,
          R"({"activity_label": "Baking", "ctx_a": "[header] How to bake [title] Heat it. [step] Wait  a bit.", "ctx_b": "the BAKER", "ctx": "unused", "endings": [" [substeps] eats [x] it. ", "sings [title] Then[sic]  goes."], "label": "1"})"),
      ElementsAre("Baking: How to bake. Heat it. Wait a bit. The baker", "  eats it.",
                  "Baking: How to bake. Heat it. Wait a bit. The baker", " sings. Then goes."));
  EXPECT_THAT(texts(task, R"({"ctx": "A man   runs.", "endings": ["x", "y"], "label": 0})"),
              ElementsAre("A man  runs.", " x", "A man  runs.", " y"));
}

TEST_F(TaskTest, Piqa) {
  EXPECT_THAT(
      texts(task_named("piqa"), R"({"goal": "Shut it", "sol1": "door", "sol2": "the lid", "label": 1})"),
      ElementsAre("Question: Shut it\nAnswer:", " door", "Question: Shut it\nAnswer:", " the lid"));
}

TEST_F(TaskTest, WinograndeScoresWhatComesAfterTheBlank) {
  const Task task = task_named("winogrande");
  const std::string record =
      R"({"sentence": "The cup fell off the shelf since _ was  wet_.", "option1": "the cup", "option2": "the shelf", "answer": "2"})";
  EXPECT_THAT(texts(task, record), ElementsAre("The cup fell off the shelf since the cup", " was  wet_.",
                                               "The cup fell off the shelf since the shelf", " was  wet_."));
  const auto questions = read(task, record);
  EXPECT_EQ(choice_texts(task, questions, questions[0])[0].context,
            "The cup fell off the shelf since the shelf was  wet_.\n\n"
            "The cup fell off the shelf since the cup");
  EXPECT_THAT(error_of(task, R"({"sentence": "No gap", "option1": "a", "option2": "b", "answer": "1"})"),
              HasSubstr("q.jsonl:1: sentence: expected a text with a '_'"));
  EXPECT_THAT(error_of(task, R"({"sentence": "All _ ", "option1": "a", "option2": "b", "answer": "1"})"),
              HasSubstr("q.jsonl:1: nothing is left"));
}

TEST_F(TaskTest, Ceval) {
  const auto subjects = ceval_subjects();
  ASSERT_EQ(subjects.size(), 52U);
  const auto logic = std::find_if(subjects.begin(), subjects.end(),
                                  [](const CevalSubject& subject) { return subject.name == "logic"; });
  const Task task = ceval_task(*logic);
  // U+3000 is a blank to Python.
  const auto questions = read(
      task, "id,question,A,B,C,D,answer\n7,\"\xe3\x80\x80水____。 \",是, 不,\"a,b\",0,C\n", "logic_val.csv");
  const auto texts = choice_texts(task, questions, questions.at(0));
  EXPECT_EQ(texts[3].context,
            "以下是中国关于逻辑学的单项选择题，请选出其中的正确答案。\n\n"
            "水____。\nA. 是\nB.  不\nC. a,b\nD. 0\n答案： C\n\n"
            "水____。\nA. 是\nB.  不\nC. a,b\nD. 0\n答案：");
  EXPECT_EQ(texts[3].continuation, " D");
  EXPECT_EQ(questions[0].gold, 2U);
  EXPECT_EQ(questions[0].id, "7");
}

TEST_F(TaskTest, BadRecordsAreNamed) {
  const Task arc = task_named("arc_c");
  EXPECT_THAT(error_of(arc, "\n{\"question\": 1.5}\n"),
              HasSubstr("q.jsonl:2: question: expected a text, found 1.5"));
  EXPECT_THAT(
      error_of(arc,
               R"({"question": "q", "choices": {"text": ["a", ""], "label": ["A", "B"]}, "answerKey": "A"})"),
      HasSubstr("q.jsonl:1: choices: number 2 is empty"));
  EXPECT_THAT(
      error_of(arc, R"({"question": "q", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "A"})"),
      HasSubstr("choices: expected 2 to 26, found 1"));
  EXPECT_THAT(
      error_of(arc,
               R"({"question": "q", "choices": {"text": ["a", "b"], "label": ["A"]}, "answerKey": "A"})"),
      HasSubstr("answerKey: expected one of the 2 choices' labels A, found A"));
  EXPECT_THAT(error_of(task_named("piqa"), R"({"goal": "g", "sol1": "a", "sol2": "b", "label": 2})"),
              HasSubstr("label: expected one of the 2 choices' labels 0, 1, found 2"));
}

TEST_F(TaskTest, ShotsOfTheQuestionsLeaveTheQuestionOut) {
  std::string lines;
  for (int i = 0; i < 6; ++i)
    lines += fmt::format("{{\"goal\": \"g{}\", \"sol1\": \"a\", \"sol2\": \"b\", \"label\": 0}}\n", i);
  const std::string path = write("all.jsonl", lines);
  const Task task = task_named("piqa");
  const QuestionSet set = read_question_set(task, path, {.shots = 3, .file = {}, .seed = 1});
  for (size_t index = 0; index < 6; ++index) {
    const std::string context = set.texts(index)[0].context;
    const std::string own = fmt::format("Question: g{}\n", index);
    EXPECT_EQ(context.find(own), context.rfind(own)) << context;
    EXPECT_EQ(std::count(context.begin(), context.end(), 'Q'), 4);
  }
  const QuestionSet other = read_question_set(task, path, {.shots = 3, .file = {}, .seed = 2});
  EXPECT_NE(other.drawn, set.drawn);
}

TEST_F(TaskTest, ShotsOfAnotherFileAreItsFirstOrDrawn) {
  const std::string piqa = R"({"goal": "g", "sol1": "a", "sol2": "b", "label": 0})";
  const std::string path = write("all.jsonl", piqa);
  std::string lines;
  for (int i = 0; i < 9; ++i)
    lines += fmt::format("{{\"goal\": \"t{}\", \"sol1\": \"a\", \"sol2\": \"b\", \"label\": 1}}\n", i);
  const std::string train = write("train.jsonl", lines);
  const Task task = task_named("piqa");
  const QuestionSet first = read_question_set(task, path, {.shots = 2, .file = train, .seed = {}});
  EXPECT_EQ(first.texts(0)[0].context,
            "Question: t0\nAnswer: b\n\nQuestion: t1\nAnswer: b\n\nQuestion: g\nAnswer:");
  const QuestionSet drawn = read_question_set(task, path, {.shots = 9, .file = train, .seed = 3});
  EXPECT_THAT(drawn.drawn, testing::UnorderedElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_THAT(drawn.drawn, testing::Not(ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8)));
  EXPECT_THROW(read_question_set(task, path, {.shots = 10, .file = train, .seed = {}}), Error);
  EXPECT_THROW(read_question_set(task, path, {.shots = 1, .file = path, .seed = {}}), Error);
}

}  // namespace
}  // namespace stonechat
