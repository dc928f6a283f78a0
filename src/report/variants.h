// Finding one's way in results: variants and their figures, and what one is beside another.
#pragma once

#include <optional>
#include <string>

#include "report/intervals.h"
#include "report/results.h"

namespace stonechat {

const ReportVariant& reference_of(const ReportResults& results);
// Those that stand beside the paper's FP32 and Q8_0: of these weights, the one with the first of the caches
// q16, f16, f32, or any. Nullptr where none is.
const ReportVariant* find_weights(const ReportResults& results, const std::string& weights);

const ReportSpeed* find_speed(const ReportVariant& variant, const std::string& test);
const ReportTask* find_task(const ReportVariant& variant, const std::string& task, uint32_t shots);
// Of the whole process: PSS, or RSS where the system doesn't say it.
const MemorySeries* find_process_memory(const ReportVariant& variant);

// The tests that stand beside the paper's prompt of 560, the one of the nearest length, and beside its
// decode, whose length isn't known to us: of 100 tokens, or the first that there is. Nullptr where none was
// run.
const ReportSpeed* paper_prompt(const ReportVariant& variant);
const ReportSpeed* paper_decode(const ReportVariant& variant);

// What a test or task is called: "prompt of 512", "decode of 50", "arc_c, 25 shots".
std::string title_of(const ReportSpeed& speed);
std::string title_of(const ReportTask& task);

// "reading memory" for a speed's limit "read"; empty for one that isn't known.
std::string limit_title(const std::string& limit);

double mean_speed(const ReportSpeed& speed);
// How many times as fast, with its interval: of the rounds that both have, where these are fewer than two of
// all rounds of each (Welch); none where one has fewer than two.
struct SpeedRatio {
  double value;
  std::optional<Interval> interval;
};
SpeedRatio speed_ratio(const ReportSpeed& speed, const ReportSpeed& over);

// How many values the standard errors of a text's figures come from: its windows, or the tokens of a single
// one. At least 2.
uint64_t values_of_errors(const ReportText& text);
// perplexity / reference's; from their own errors where the paired ratio is absent, which is wider.
Interval perplexity_ratio(const ReportText& text, const ReportText& over);

}  // namespace stonechat
