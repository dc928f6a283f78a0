#include "report/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/sample_results.h"

namespace stonechat {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Compare, EqualResultsHaveNoChange) {
  const std::string text = compare_results(sample_results(), sample_results());
  EXPECT_THAT(text, HasSubstr("Nothing: the same model, machine and program."));
  EXPECT_THAT(text, HasSubstr("## What changed beyond noise\n\nNothing."));
  EXPECT_THAT(text, Not(HasSubstr("| beyond noise |")));
  EXPECT_THAT(
      text, HasSubstr("| prompt of 256, tokens/s | 576.5 \u00b1 4.3 | 576.5 \u00b1 4.3 | 0.00 % | noise |"));
}

TEST(Compare, MarksWhatChangedBeyondNoise) {
  ReportResults b = sample_results();
  for (double& sample : b.variants[1].speeds[1].samples) sample *= 1.05;
  for (double& sample : b.variants[1].speeds[2].samples) sample *= 1.002;
  b.variants[1].text->kl = Estimate{0.0012, 0.00005};
  b.variants[1].tasks[0].acc.mean += 0.01;
  const std::string text = compare_results(sample_results(), b, "old", "new");
  EXPECT_THAT(text,
              HasSubstr("q8_0: prompt of 512, tokens/s (+5.00 %); mean KL divergence, nats (+64.4 %)."));
  EXPECT_THAT(text, HasSubstr("| figure | old | new | change | beyond noise? |"));
  EXPECT_THAT(text, HasSubstr("| 1,214.9 \u00b1 6.2 | 1,275.6 \u00b1 6.5 | +5.00 % | beyond noise |"));
  EXPECT_THAT(text, HasSubstr("+0.20 % | noise |"));
  EXPECT_THAT(text,
              HasSubstr("| arc_c, 0 shots, acc, % | 33.5 \u00b1 1.4 | 34.5 \u00b1 1.4 | +2.99 % | noise |"));
}

TEST(Compare, OtherModelsAndMachinesComeFirst) {
  ReportResults b = sample_results();
  b.machine.cpu = "Another CPU";
  b.model.sha256 = std::string(64, '0');
  b.quick = true;
  const std::string text = compare_results(sample_results(), b);
  EXPECT_LT(text.find("The models differ"), text.find("The machines differ"));
  EXPECT_LT(text.find("The machines differ"), text.find("## f32"));
  EXPECT_THAT(text, HasSubstr("| processor | Made-up CPU with figures for tests | Another CPU |"));
  EXPECT_THAT(text, HasSubstr("| kind of run | full | quick |"));
}

TEST(Compare, FiguresOfOneSide) {
  ReportResults b = sample_results();
  b.variants[1].speeds.erase(b.variants[1].speeds.begin());
  b.variants[1].tasks.clear();
  b.variants[0].text.reset();
  b.variants[0].memory.reset();
  b.variants[2].name = "q4_0";
  b.variants[2].speeds[0].samples.resize(1);
  b.variants[2].speeds[0].rounds.resize(1);
  const std::string text = compare_results(sample_results(), b);
  EXPECT_THAT(text, HasSubstr("| prompt of 256, tokens/s | 1,188.2 \u00b1 7.9 |  |  | only in the first |"));
  EXPECT_THAT(text, HasSubstr("| hellaswag, 0 shots, acc, % | 39.8 \u00b1 1.1 |  |  | only in the first |"));
  EXPECT_THAT(text,
              HasSubstr("| hellaswag, 0 shots, acc_norm, % | 49.3 \u00b1 1.1 |  |  | only in the first |"));
  EXPECT_THAT(text, HasSubstr("| perplexity | 21.48 \u00b1 0.51 |  |  | only in the first |"));
  EXPECT_THAT(text, HasSubstr("| memory of the process, peak, MB | 2,043.3 |  |  | only in the first |"));
  EXPECT_THAT(text, HasSubstr("| memory for tokenizer, MB | 13.1 |  |  | only in the first |"));
  EXPECT_THAT(text, HasSubstr("| q8_0 + q8_0 cache | A |"));
  EXPECT_THAT(text, HasSubstr("| q4_0 | B |"));
  const std::string other = compare_results(b, sample_results());
  EXPECT_THAT(other, HasSubstr("only in the second"));
}

TEST(Compare, FewWindowsHideMore) {
  ReportResults a = sample_results();
  ReportResults b = sample_results();
  // 2.5 standard errors.
  b.variants[1].text->kl = Estimate{a.variants[1].text->kl->mean + 0.0001 * std::sqrt(2), 0.00004};
  EXPECT_THAT(compare_results(a, b), HasSubstr("| +19.4 % | beyond noise |"));
  a.variants[1].text->windows = b.variants[1].text->windows = 3;
  EXPECT_THAT(compare_results(a, b), HasSubstr("| +19.4 % | noise |"));
}

TEST(Compare, OtherQuestionsAreNotCompared) {
  ReportResults b = sample_results();
  b.variants[1].tasks[0].questions = 100;
  b.variants[1].tasks[0].acc.mean = 0.9;
  const std::string text = compare_results(sample_results(), b);
  EXPECT_THAT(
      text,
      HasSubstr("| arc_c, 0 shots, acc, % | 33.5 \u00b1 1.4 | 90.0 \u00b1 1.4 | +169 % | not comparable |"));
  EXPECT_THAT(text, HasSubstr("Questions of arc_c, 0 shots differ: 1172 and 100."));
  EXPECT_THAT(text, HasSubstr("## What changed beyond noise\n\nNothing."));
}

TEST(Compare, OtherTextsAreNotCompared) {
  ReportResults b = sample_results();
  b.variants[1].text->windows = 41;
  b.variants[1].speeds[0].samples.resize(1);
  b.variants[1].speeds[0].rounds.resize(1);
  const std::string text = compare_results(sample_results(), b);
  EXPECT_THAT(text, HasSubstr("not comparable |"));
  EXPECT_THAT(
      text,
      HasSubstr(
          "Texts differ: wikitext2-test.txt, 40 windows of 512 tokens; wikitext2-test.txt, 41 windows"));
  EXPECT_THAT(text, HasSubstr("too few rounds |"));
}

}  // namespace
}  // namespace stonechat
