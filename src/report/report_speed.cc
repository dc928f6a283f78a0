#include <fmt/format.h>

#include <algorithm>

#include "report/number_text.h"
#include "report/report_parts.h"
#include "report/variants.h"

namespace stonechat {
namespace {

// The tests of all variants, in their order.
std::vector<const ReportSpeed*> all_tests(const ReportResults& results) {
  std::vector<const ReportSpeed*> tests;
  for (const ReportVariant& variant : results.variants) {
    for (const ReportSpeed& speed : variant.speeds) {
      const bool is_new = std::none_of(tests.begin(), tests.end(),
                                       [&](const ReportSpeed* test) { return test->test == speed.test; });
      if (is_new) tests.push_back(&speed);
    }
  }
  return tests;
}

GroupValue speed_value(const ReportSpeed* speed) {
  if (speed == nullptr) return {};
  const double mean = mean_speed(*speed);
  const double deviation = standard_deviation(speed->samples);
  if (speed->samples.size() < 2) return {mean};
  return {mean, mean - deviation, mean + deviation};
}

void add_charts(DocumentSection& section, const ReportResults& results,
                const std::vector<const ReportSpeed*>& tests, bool is_prompt) {
  std::vector<std::string> names;
  GroupChart chart;
  for (const ReportSpeed* test : tests) {
    if ((test->generate == 0) != is_prompt) continue;
    names.push_back(test->test);
    chart.groups.push_back(test->prompt != 0 && test->generate != 0
                               ? fmt::format("{}\n+ {}", test->prompt, test->generate)
                               : std::to_string(is_prompt ? test->prompt : test->generate));
  }
  chart.x_label = is_prompt ? "tokens of the prompt" : "tokens written";
  chart.title = is_prompt ? "Reading a prompt" : "Decoding";
  chart.y_label = "tokens/s";
  chart.unit = " tokens/s";
  add_chart(section, results, chart, [&](const ReportVariant& variant, size_t group) {
    return speed_value(find_speed(variant, names[group]));
  });
  chart.title = is_prompt ? "Prompt: share of the machine's limit" : "Decode: share of the machine's limit";
  chart.y_label = "share, %";
  chart.unit = " %";
  add_chart(section, results, chart, [&](const ReportVariant& variant, size_t group) -> GroupValue {
    const ReportSpeed* speed = find_speed(variant, names[group]);
    return speed != nullptr && speed->limit_share ? GroupValue{100 * *speed->limit_share} : GroupValue{};
  });
}

}  // namespace

DocumentSection speed_section(const ReportResults& results) {
  DocumentSection section{"Speed"};
  const std::vector<const ReportSpeed*> tests = all_tests(results);
  if (tests.empty()) return section;
  const ReportVariant& reference = reference_of(results);
  for (const bool is_prompt : {true, false}) add_charts(section, results, tests, is_prompt);

  std::vector<std::string> names;
  std::vector<std::string> titles;
  for (const ReportSpeed* test : tests) {
    names.push_back(test->test);
    titles.push_back(title_of(*test));
  }
  add_table(
      section, results,
      {.title = "Tokens a second",
       .head = {"test"},
       .note = "Mean over the rounds and standard deviation of a round (the error bars of the plots)."},
      titles, [&](const ReportVariant& variant, size_t row) -> std::string {
        const ReportSpeed* speed = find_speed(variant, names[row]);
        return speed == nullptr ? "" : with_deviation(mean_speed(*speed), standard_deviation(speed->samples));
      });
  if (results.variants.size() > 1) {
    add_table(
        section, results,
        {.title = fmt::format("Times as fast as {}", reference.name),
         .head = {"test"},
         .note = "With its interval of 95 %, from the ratios of the rounds that both have; from all "
                 "rounds of each (Welch's test) where these are fewer than two. Noise where it holds 1."},
        titles, [&](const ReportVariant& variant, size_t row) -> std::string {
          const ReportSpeed* speed = find_speed(variant, names[row]);
          const ReportSpeed* over = find_speed(reference, names[row]);
          if (speed == nullptr || over == nullptr || &variant == &reference) return "";
          const SpeedRatio ratio = speed_ratio(*speed, *over);
          if (!ratio.interval) return fixed_text(ratio.value, 3);
          return fmt::format("{} ({} to {}){}", fixed_text(ratio.value, 3),
                             fixed_text(ratio.interval->low, 3), fixed_text(ratio.interval->high, 3),
                             ratio.interval->holds(1) ? " noise" : "");
        });
  }
  add_table(section, results,
            {.title = "Share of the machine's limits",
             .head = {"test"},
             .note = "Of the limit that binds, measured in the same run. A share of reading counts each "
                     "weight once a pass."},
            titles, [&](const ReportVariant& variant, size_t row) -> std::string {
              const ReportSpeed* speed = find_speed(variant, names[row]);
              if (speed == nullptr || !speed->limit_share) return "";
              const std::string limit = limit_title(speed->limit);
              return percent_text(*speed->limit_share, 1) + (limit.empty() ? "" : " of " + limit);
            });
  return section;
}

}  // namespace stonechat
