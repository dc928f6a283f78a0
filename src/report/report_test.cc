#include "report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/error.h"
#include "report/compare.h"
#include "report/findings.h"
#include "report/results_json.h"
#include "report/variants.h"
#include "tests/support/sample_results.h"

namespace stonechat {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::vector<std::string> titles(const Document& document) {
  std::vector<std::string> result;
  for (const DocumentSection& section : document.sections) result.push_back(section.title);
  return result;
}

const DocumentTable& table_of(const Document& document, const std::string& title) {
  static const DocumentTable kNone;
  for (const DocumentSection& section : document.sections) {
    for (const DocumentTable& table : section.tables) {
      if (table.title == title) return table;
    }
  }
  ADD_FAILURE() << "no table " << title;
  return kNone;
}

// Summary, title and items of one variant's findings.
std::string findings_text(const ReportResults& results, size_t variant) {
  const DocumentSection section = findings_section(results);
  std::string text = section.paragraphs[variant] + "\n" + section.lists[variant].title;
  for (const std::string& item : section.lists[variant].items) text += "\n" + item;
  return text;
}

TEST(Report, HasAllSections) {
  const Document document = report_document(sample_results());
  EXPECT_THAT(
      titles(document),
      ElementsAre("What was gained and lost", "Machine and model", "Beside the paper", "Speed", "Memory",
                  "Text: perplexity and divergence", "Tasks", "How it was measured", "What is missing"));
  for (const DocumentSection& section : document.sections) {
    for (const DocumentTable& table : section.tables) {
      for (const auto& row : table.rows)
        EXPECT_EQ(row.size(), table.head.size()) << section.title << table.title;
    }
  }
}

TEST(Report, ThePaperStandsBesideOurs) {
  const Document document = report_document(sample_results());
  const DocumentTable& claims = table_of(document, "What the paper claims of Q8_0 beside FP32");
  EXPECT_THAT(claims.rows[0],
              ElementsAre("prompt speed (here: prompt of 560)", "+74.0 %", "+106 %", "+105 % to +106 %"));
  EXPECT_THAT(claims.rows[1][1], "+616 %");
  EXPECT_THAT(claims.rows[1][2], "+262 %");
  EXPECT_THAT(claims.rows[2], ElementsAre("minimum memory", "-83.0 %", "-72.1 %", ""));
  EXPECT_THAT(claims.rows[3], ElementsAre("accuracy kept, arc_c, 0 shots", "at least 99.5 %",
                                          "99.75 %: cannot be told", "98.53 % to 100.98 %"));
  EXPECT_THAT(claims.rows[4][2], "99.87 %: kept");
  EXPECT_THAT(claims.rows[5], ElementsAre("accuracy kept, ceval", "at least 99.5 %", "", ""));
  EXPECT_THAT(table_of(document, "Table I: what memory is for, MB").rows[0],
              ElementsAre("weights", "2,100.0", "525.0", "-75.0 %", "1,976.1", "525.1", "-73.4 %"));
  EXPECT_THAT(table_of(document, "Table I: what memory is for, MB").rows[2],
              ElementsAre("runtime buffers", "", "", "", "44.0", "44.0", "0.00 %"));
  EXPECT_THAT(table_of(document, "Table II: memory of the process, MB").rows[1],
              ElementsAre("minimum", "", "", "-83.0 %", "2,013.3", "562.3", "-72.1 %"));
  EXPECT_THAT(table_of(document, "Table III: speed, tokens/s").rows[1],
              ElementsAre("decode (here of 100)", "12.92", "92.49", "+616 %", "23.10", "83.60", "+262 %"));
  EXPECT_THAT(table_of(document, "The paper's figure: Q8_0 by length, tokens/s").rows[0],
              ElementsAre("prompt of 256", "471.61", "1,188.2 \u00b1 7.9", "2.52"));
}

TEST(Report, SaysWhyAGainIsSmallerThanThePapers) {
  const auto texts = speed_explanations(sample_results());
  ASSERT_EQ(texts.size(), 1U);  // the prompt's gain isn't smaller
  EXPECT_THAT(texts[0], HasSubstr("Decode of 100: the gain of +262 % is less than the paper's +616 %."));
  EXPECT_THAT(texts[0], HasSubstr("f32 reaches 98 % of what reading memory here allows."));
  EXPECT_THAT(texts[0], HasSubstr("q8_0 has 3.76 times fewer bytes"));
  EXPECT_THAT(texts[0], HasSubstr("The paper's 7.16 times says that its FP32 was far from that."));
  ReportResults results = sample_results();
  for (ReportVariant& variant : results.variants) {
    for (ReportSpeed& speed : variant.speeds) speed.limit_share.reset(), speed.limit.clear();
  }
  EXPECT_THAT(speed_explanations(results),
              ElementsAre("Decode of 100: the gain of +262 % is less than the paper's +616 %."));
}

TEST(Report, SaysWhyLessMemoryIsSavedThanThePapers) {
  ReportResults results = sample_results();
  EXPECT_THAT(
      markdown_report(results),
      HasSubstr(
          "Minimum memory: the change of -72.1 % is less than the paper's -83.0 %. With FP32 the process "
          "takes"));
  EXPECT_THAT(markdown_report(results),
              HasSubstr("where the paper's takes 1,400: that is not there to be saved."));
  for (auto& [name, series] : results.variants[1].memory->series) series.minimum = 100'000'000;
  EXPECT_THAT(markdown_report(results), Not(HasSubstr("Minimum memory: the change")));
}

TEST(Report, ThereIsNoLimitWhereItIsPassed) {
  ReportResults results = sample_results();
  for (ReportVariant& variant : results.variants) {
    for (ReportSpeed& speed : variant.speeds) speed.limit_share = 16.4;  // read from a cache
  }
  EXPECT_THAT(speed_explanations(results),
              ElementsAre("Decode of 100: the gain of +262 % is less than the paper's +616 %."));
}

TEST(Report, ThePapersPromptIsTheNearest) {
  ReportResults results = sample_results();
  for (ReportVariant& variant : results.variants) {
    std::erase_if(variant.speeds, [](const ReportSpeed& speed) { return speed.test == "pp560"; });
  }
  const Document document = report_document(results);
  EXPECT_THAT(table_of(document, "Table III: speed, tokens/s").rows[0],
              ElementsAre("prompt of 560 (here of 512)", "247.84", "431.95", "+74.3 %", "590.83", "1,214.90",
                          "+106 %"));
}

TEST(Report, FindingsTellNoiseFromDifferences) {
  const std::string q8 = findings_text(sample_results(), 0);
  EXPECT_THAT(q8,
              HasSubstr("q8_0 instead of f32 takes 71 % less memory at its peak, reads prompts 1.99 to 2.06 "
                        "times as fast and writes 3.60 to 3.62 times as fast. "
                        "No loss of quality can be told from noise.\nq8_0 beside f32\n"));
  EXPECT_THAT(q8, HasSubstr("Gained: weights of 525.1 MB instead of 1,976.1 (-73.4 %);"));
  EXPECT_THAT(q8, HasSubstr("prompts are read 1.99 to 2.06 times as fast (256, 512, 560, 1024 tokens)"));
  EXPECT_THAT(q8, HasSubstr("answers are written 3.60 to 3.62 times as fast (50, 100, 200 tokens)"));
  EXPECT_THAT(q8, HasSubstr("Lost: nothing beyond noise."));
  EXPECT_THAT(
      q8, HasSubstr("Within noise: perplexity 21.480 instead of 21.484 (-0.02 %, 95 %: -0.10 % to +0.07 %); "
                    "arc_c, 0 shots, 99.75 % of the accuracy (95 %: 98.5 % to 101.0 %)"));
  EXPECT_THAT(q8, HasSubstr("0.000730 \u00b1 0.000040 nats a token from those of f32"));
  const std::string cache = findings_text(sample_results(), 1);
  EXPECT_THAT(cache, HasSubstr("It is worse beyond noise in hellaswag."));
  EXPECT_THAT(cache, HasSubstr("Lost: hellaswag, 0 shots, 98.87 % of the accuracy"));
}

TEST(Report, SubjectsAlikeHaveATable) {
  ReportResults results = sample_results();
  EXPECT_THAT(markdown_report(results), Not(HasSubstr("macro")));
  ReportTask& task = results.variants[1].tasks[1];
  task.acc_macro = Estimate{0.41, 0.01};
  task.acc_norm_macro = Estimate{0.38, 0.02};
  const std::string text = markdown_report(results);
  EXPECT_THAT(text, HasSubstr("**All subjects alike (macro average)**"));
  EXPECT_THAT(text,
              HasSubstr("| hellaswag, 0 shots | q8_0 | 41.00 (39.04 to 42.96) | 38.00 (34.08 to 41.92) |"));
}

TEST(Report, QualityThatWasNotMeasuredIsNotKnown) {
  ReportResults results = sample_results();
  for (ReportVariant& variant : results.variants) {
    variant.text.reset();
    variant.tasks.clear();
  }
  EXPECT_THAT(findings_text(results, 0), HasSubstr("Quality was not measured."));
  EXPECT_THAT(findings_text(results, 0), HasSubstr("Lost: not known"));
}

TEST(Report, OneRoundSaysNothingOfNoise) {
  ReportResults results = sample_results();
  for (ReportVariant& variant : results.variants) {
    for (ReportSpeed& speed : variant.speeds) {
      speed.samples.resize(1);
      speed.rounds.resize(1);
    }
  }
  EXPECT_THAT(findings_text(results, 0),
              HasSubstr("Measured once, so what is noise is not known: prompts are read 1.99 to 2.06"));
  const std::string text = markdown_report(results);
  EXPECT_THAT(text, HasSubstr("| prompt of 256 | 577.1 | 1,180 |"));
  EXPECT_THAT(text, Not(HasSubstr("nan")));
}

TEST(Report, TooSmallADifferenceIsNoise) {
  ReportResults results = sample_results();
  results.variants[1].speeds[0].samples = results.variants[0].speeds[0].samples;
  results.variants[1].speeds[0].samples[0] += 3;
  EXPECT_THAT(findings_text(results, 0),
              HasSubstr("Within noise: prompts are read 1.00 times as fast (256 tokens);"));
  for (ReportSpeed& speed : results.variants[1].speeds) {
    speed.samples = {1, 5000};
    speed.rounds = {1, 2};
  }
  EXPECT_THAT(findings_text(results, 0),
              HasSubstr("reads prompts 0.12 times as fast (which may be noise) and writes"));
  results.variants[1].speeds = sample_results().variants[1].speeds;
  results.variants[1].speeds[0].samples = results.variants[0].speeds[0].samples;
  const Document document = report_document(results);
  EXPECT_THAT(table_of(document, "Times as fast as f32").rows[0][1], HasSubstr(") noise"));
  EXPECT_THAT(table_of(document, "Times as fast as f32").rows[1][1], Not(HasSubstr("noise")));
}

TEST(Report, OfASingleVariant) {
  ReportResults results = sample_results();
  results.variants = {results.variants[1]};
  results.variants[0].is_reference = true;
  const std::string text = markdown_report(results);
  EXPECT_THAT(text, HasSubstr("Only q8_0 was measured"));
  EXPECT_THAT(text, Not(HasSubstr("Times as fast")));
  EXPECT_THAT(text, HasSubstr("| weights | 2,100.0 | 525.0 | -75.0 % |  | 525.1 |  |"));
  EXPECT_THAT(html_report(results), HasSubstr("</html>"));
}

TEST(Report, OfNothingButAName) {
  ReportResults results;
  results.variants.resize(1);
  results.variants[0].name = "q4_0";
  results.variants[0].is_reference = true;
  const Document document = report_document(results);
  EXPECT_THAT(titles(document), ElementsAre("What was gained and lost", "Machine and model",
                                            "Beside the paper", "How it was measured", "What is missing"));
  const std::string text = markdown_report(results);
  EXPECT_THAT(text, HasSubstr("Neither FP32 nor Q8_0"));
  EXPECT_THAT(text, Not(HasSubstr("nan")));
  EXPECT_THAT(text, Not(HasSubstr("inf")));
}

TEST(Report, ThePapersVariantsAreThoseOfTheUsualCache) {
  ReportResults results = sample_results();
  std::swap(results.variants[1], results.variants[2]);
  EXPECT_EQ(find_weights(results, "q8_0")->name, "q8_0");
  EXPECT_EQ(find_weights(results, "q4_0"), nullptr);
}

TEST(Report, PerplexitiesWithoutAPairedRatioHaveTheirOwnErrors) {
  ReportResults results = sample_results();
  ReportText text = *results.variants[1].text;
  const Interval paired = perplexity_ratio(text, *results.variants[0].text);
  text.log_perplexity_ratio.reset();
  const Interval own = perplexity_ratio(text, *results.variants[0].text);
  EXPECT_NEAR(own.value, 21.4795 / 21.4837, 1e-9);
  EXPECT_GT(own.high - own.low, 10 * (paired.high - paired.low));
  EXPECT_NEAR(own.high - own.low, 2 * student_quantile(77) * std::hypot(0.512, 0.511) / 21.48, 1e-3);
}

TEST(Report, SpeedsArePairedByRound) {
  // Rounds differ by a factor of 3, the two by exactly 2 in each.
  ReportSpeed slow = sample_speed(256, 0, {10, 30, 20}, 0.5, "read");
  ReportSpeed fast = sample_speed(256, 0, {20, 40}, 0.5, "read");
  fast.rounds = {1, 3};
  const SpeedRatio pairs = speed_ratio(fast, slow);
  EXPECT_NEAR(pairs.value, 2, 1e-12);
  EXPECT_NEAR(pairs.interval->high, 2, 1e-12);
  // As many of each, but no pairs: two rounds by themselves.
  slow.samples.pop_back();
  slow.rounds = {2, 4};
  const SpeedRatio apart = speed_ratio(fast, slow);
  EXPECT_TRUE(apart.interval->holds(1));
  EXPECT_NEAR(apart.value, std::sqrt(800.0 / 300), 1e-12);
  slow.samples.pop_back();
  slow.rounds.pop_back();
  EXPECT_FALSE(speed_ratio(fast, slow).interval);
}

TEST(Report, FewWindowsWidenTheIntervalOfPerplexities) {
  const ReportResults results = sample_results();
  const auto width = [&](uint64_t windows) {
    ReportText text = *results.variants[1].text;
    text.windows = windows;
    const Interval ratio = perplexity_ratio(text, *results.variants[0].text);
    return std::log(ratio.high) - std::log(ratio.low);
  };
  EXPECT_NEAR(width(3), 2 * 4.302653 * 0.00042, 1e-8);
  // Of one the error is that of its tokens, which are many.
  EXPECT_NEAR(width(1), 2 * 1.960 * 0.00042, 1e-6);
}

// Whatever a file holds is refused or shown: digits of the sample are changed, which moves figures by orders.
TEST(Report, AnyFiguresAreRefusedOrShown) {
  const std::string text = results_json(sample_results());
  std::mt19937 random(7);
  int shown = 0;
  for (int trial = 0; trial < 150; ++trial) {
    std::string changed = text;
    for (int i = 0; i < 3; ++i) {
      const size_t at = changed.find_first_of("0123456789", random() % changed.size());
      if (at == std::string::npos) continue;
      static constexpr std::string_view kInserts[] = {"0",     "9", "0.000",        "e9",
                                                      "e-200", "-", "000000000000", ""};
      changed.replace(at, 1, kInserts[random() % std::size(kInserts)]);
    }
    try {
      const ReportResults results = parse_results_json(changed, "changed");
      EXPECT_THAT(markdown_report(results), HasSubstr("# What quantizing"));
      EXPECT_THAT(html_report(results), HasSubstr("</html>"));
      EXPECT_THAT(compare_results(sample_results(), results), HasSubstr("## How to read this"));
      ++shown;
    } catch (const Error&) {
    }
  }
  EXPECT_GT(shown, 5);
  EXPECT_LT(shown, 145);
}

TEST(Report, Verdicts) {
  EXPECT_EQ(kept_verdict({1, 0.995, 1.01}, 0.995), "kept");
  EXPECT_EQ(kept_verdict({1, 0.99, 1.01}, 0.995), "cannot be told");
  EXPECT_EQ(kept_verdict({0.98, 0.97, 0.99}, 0.995), "not kept");
}

}  // namespace
}  // namespace stonechat
