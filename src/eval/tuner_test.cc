#include "eval/tuner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "kernels/dispatch.h"
#include "model/test_model.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using testing::ElementsAre;

TEST(Gain, IsTheMedianOfPairsAndClearBeyondItsNoise) {
  const std::vector<double> before = {1.10, 2.20, 1.10, 4.40, 1.10};
  const std::vector<double> after = {1, 2, 1, 4, 1};  // the machine slowed down now and then, in both
  const Gain faster = gain_of(before, after);
  EXPECT_NEAR(faster.ratio, 1.1, 1e-12);
  EXPECT_NEAR(faster.noise, 0, 1e-12);
  EXPECT_TRUE(faster.is_clear());
  EXPECT_FALSE(faster.is_loss());
  EXPECT_FALSE(gain_of(after, before).is_clear());
  EXPECT_TRUE(gain_of(after, before).is_loss());
  EXPECT_FALSE(gain_of(after, after).is_clear());
  EXPECT_FALSE(gain_of(after, after).is_loss());
}

TEST(Gain, IsNotClearWithinTheNoise) {
  const std::vector<double> after = {1, 1, 1, 1};
  const Gain noisy = gain_of(std::vector<double>{1.3, 0.8, 1.2, 0.9}, after);
  EXPECT_NEAR(noisy.ratio, 1.05, 1e-12);
  EXPECT_FALSE(noisy.is_clear());
  EXPECT_TRUE(gain_of(std::vector<double>{1.04, 1.06, 1.05, 1.05}, after).is_clear());
}

TEST(Changes, AreOfTheFieldsThatTheWorkSees) {
  const Tuning usual{.prompt_threads = 4, .decode_threads = 4};
  const auto with = [&](uint32_t Tuning::*field) {
    Tuning tuning = usual;
    tuning.*field += 12;
    return tuning;
  };
  EXPECT_FALSE(changes_decode(usual, usual) || changes_few(usual, usual));
  for (const auto field : {&Tuning::token_block, &Tuning::mlp_piece}) {
    EXPECT_TRUE(changes_decode(usual, with(field)));
    EXPECT_TRUE(changes_few(usual, with(field)));
  }
  EXPECT_FALSE(changes_decode(usual, with(&Tuning::batch)) || changes_few(usual, with(&Tuning::batch)));
  for (const auto field : {&Tuning::few_tokens, &Tuning::prompt_threads}) {
    EXPECT_FALSE(changes_decode(usual, with(field)));
    EXPECT_TRUE(changes_few(usual, with(field)));
  }
  EXPECT_TRUE(changes_decode(usual, with(&Tuning::decode_threads)));
  EXPECT_FALSE(changes_few(usual, with(&Tuning::decode_threads)));
}

TEST(ThreadCandidates, GoFromAllToOneQuarter) {
  EXPECT_THAT(thread_candidates(1), ElementsAre(1));
  EXPECT_THAT(thread_candidates(2), ElementsAre(2, 1));
  EXPECT_THAT(thread_candidates(8), ElementsAre(8, 7, 6, 4, 2));
}

class TunerTest : public testing::Test {
 protected:
  TunerTest() {
    TestModel model;
    model.make(3);
    model.write(directory_.file("model.gguf"), gguf::TensorType::kQ8_0, model.metadata());
    weights_ = Weights::load(gguf::Reader(directory_.file("model.gguf")), kernels(), pool_, {});
  }

  const TemporaryDirectory directory_;
  ThreadPool pool_{2};
  Weights weights_;
};

TEST_F(TunerTest, TriesEachFieldAndTellsWhatItChose) {
  uint64_t last_done = 0;
  uint64_t last_total = 0;
  const TunerOptions options{.seconds = 1,
                             .most_prompt = 64,
                             .few_values = true,
                             .processors = 2,
                             .should_stop = {},
                             .progress = [&](uint64_t done, uint64_t total) {
                               EXPECT_GE(done, last_done);
                               last_done = done;
                               last_total = total;
                             }};
  const TunerResult result = find_fastest(weights_, kernels(), pool_, options);
  EXPECT_NO_THROW(check(result.tuning));
  EXPECT_GT(result.tuning.prompt_threads, 0U);
  EXPECT_EQ(last_done, last_total);
  const Tuning usual{.prompt_threads = 2, .decode_threads = 2};
  ASSERT_EQ(result.fields.size(), tuning_fields().size());
  for (size_t i = 0; i < result.fields.size(); ++i) {
    const TunedField& field = result.fields[i];
    EXPECT_EQ(field.field, &tuning_fields()[i]);
    EXPECT_EQ(field.chosen, result.tuning.*field.field->value) << field.field->name;
    EXPECT_EQ(field.usual, usual.*field.field->value) << field.field->name;
    if (field.chosen == field.usual) {
      EXPECT_EQ(field.speed_up, 1);
    } else {
      EXPECT_TRUE(field.tried);
      EXPECT_GT(field.speed_up, 1) << field.field->name;
    }
    // All batches in the list are as long as these prompts, or longer: nothing to try.
    if (field.field->name == std::string("batch")) {
      EXPECT_FALSE(field.tried);
    }
  }
  ASSERT_EQ(result.work.size(), 3U);
  for (const TunedWork& work : result.work) {
    EXPECT_GT(work.usual_speed, 0) << work.name;
    EXPECT_NEAR(work.tuned_speed, work.usual_speed * work.speed_up, 1e-6 * work.tuned_speed);
    const bool is_changed = work.name == "decode" ? changes_decode(usual, result.tuning)
                            : work.name == "few"  ? changes_few(usual, result.tuning)
                                                  : true;
    if (!is_changed) {
      EXPECT_EQ(work.speed_up, 1) << work.name;
    }
  }
  EXPECT_THAT(result.work[0].what, testing::MatchesRegex("prompt of (64|32) tokens"));
}

TEST_F(TunerTest, StopsWhenAsked) {
  int questions = 0;
  const TunerOptions options{.seconds = 60,
                             .most_prompt = 64,
                             .few_values = true,
                             .processors = 2,
                             .should_stop = [&] { return ++questions > 20; },
                             .progress = {}};
  try {
    find_fastest(weights_, kernels(), pool_, options);
    FAIL() << "was not interrupted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInterrupted);
  }
}

}  // namespace
}  // namespace stonechat
