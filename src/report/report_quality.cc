#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "report/findings.h"
#include "report/number_text.h"
#include "report/paper.h"
#include "report/report_parts.h"
#include "report/variants.h"

namespace stonechat {
namespace {

struct Percentile {
  const char* name;
  const char* title;
};
constexpr Percentile kPercentiles[] = {
    {"median", "median"}, {"p90", "90 %"}, {"p99", "99 %"}, {"p999", "99.9 %"}, {"maximum", "largest"}};

std::optional<double> find_percentile(const ReportVariant& variant, const char* name) {
  if (!variant.text) return std::nullopt;
  const auto found = variant.text->kl_percentiles.find(name);
  if (found == variant.text->kl_percentiles.end()) return std::nullopt;
  return found->second;
}

GroupValue with_interval(const Interval& interval, double unit) {
  return {unit * interval.value, unit * interval.low, unit * interval.high};
}

std::string interval_text(const Interval& interval, double unit, int decimals) {
  return fmt::format("{} ({} to {})", fixed_text(unit * interval.value, decimals),
                     fixed_text(unit * interval.low, decimals), fixed_text(unit * interval.high, decimals));
}

std::string noise_text(const Interval& ratio) {
  return ratio.holds(1) ? " noise" : "";
}

// The tasks of all variants, in their order.
std::vector<const ReportTask*> all_tasks(const ReportResults& results) {
  std::vector<const ReportTask*> tasks;
  for (const ReportVariant& variant : results.variants) {
    for (const ReportTask& task : variant.tasks) {
      const bool is_new = std::none_of(tasks.begin(), tasks.end(), [&](const ReportTask* one) {
        return one->task == task.task && one->shots == task.shots;
      });
      if (is_new) tasks.push_back(&task);
    }
  }
  return tasks;
}

void add_text_charts(DocumentSection& section, const ReportResults& results, const ReportVariant& reference) {
  std::vector<std::string> groups;
  for (const Percentile& percentile : kPercentiles) groups.push_back(percentile.title);
  add_chart(section, results,
            {.title = "KL divergence by percentile",
             .x_label = "percentile of tokens",
             .y_label = "nats a token",
             .unit = " nats",
             .groups = groups,
             .bars = false,
             .logarithmic = true},
            [](const ReportVariant& variant, size_t group) -> GroupValue {
              const auto value = find_percentile(variant, kPercentiles[group].name);
              return value && *value > 0 ? GroupValue{*value} : GroupValue{};
            });
  add_chart(section, results,
            {.title = "Perplexity beside the reference's",
             .x_label = "with the interval of 95 %",
             .y_label = "change, %",
             .unit = " %",
             .groups = {"perplexity"},
             .bars = false,
             .limit = ChartLimit{0, "the reference"}},
            [&](const ReportVariant& variant, size_t) -> GroupValue {
              if (&variant == &reference || !variant.text || !reference.text) return {};
              const Interval ratio = perplexity_ratio(*variant.text, *reference.text);
              return {100 * (ratio.value - 1), 100 * (ratio.low - 1), 100 * (ratio.high - 1)};
            });
}

// Of the tasks that have subjects, all subjects alike.
DocumentTable subjects_table(const ReportResults& results, const std::vector<const ReportTask*>& tasks) {
  DocumentTable table{.title = "All subjects alike (macro average)",
                      .head = {"task", "variant", "acc, % (95 %)", "acc_norm, % (95 %)"}};
  table.note = "Above all questions count alike, whatever their subject.";
  for (const ReportTask* one : tasks) {
    for (const ReportVariant& variant : results.variants) {
      const ReportTask* task = find_task(variant, one->task, one->shots);
      if (task == nullptr || !task->acc_macro || !task->acc_norm_macro) continue;
      const auto text = [](const Estimate& estimate) { return interval_text(interval_of(estimate), 100, 2); };
      table.rows.push_back(
          {title_of(*task), variant.name, text(*task->acc_macro), text(*task->acc_norm_macro)});
    }
  }
  return table;
}

}  // namespace

DocumentSection text_section(const ReportResults& results) {
  DocumentSection section{"Text: perplexity and divergence"};
  const ReportVariant& reference = reference_of(results);
  for (const ReportVariant& variant : results.variants) {
    if (!variant.text) continue;
    const ReportText& text = *variant.text;
    section.paragraphs.push_back(fmt::format("On {}: {} windows of {} tokens, {} tokens scored.", text.text,
                                             fixed_text(static_cast<double>(text.windows), 0), text.window,
                                             fixed_text(static_cast<double>(text.tokens), 0)));
    break;  // the others read the same
  }
  add_text_charts(section, results, reference);

  using Cell = std::function<std::string(const ReportVariant&, const ReportText&)>;
  const auto share = [](std::optional<Estimate> ReportText::*member) -> Cell {
    return [member](const ReportVariant&, const ReportText& text) -> std::string {
      const auto& value = text.*member;
      return value ? with_deviation(100 * value->mean, 100 * value->standard_error) + " %" : "";
    };
  };
  std::vector<std::pair<std::string, Cell>> rows = {
      {"perplexity",
       [](const ReportVariant&, const ReportText& text) {
         return with_deviation(text.perplexity.mean, text.perplexity.standard_error);
       }},
      {"perplexity / reference's, 95 %",
       [&](const ReportVariant& variant, const ReportText& text) -> std::string {
         if (&variant == &reference || !reference.text) return "";
         const Interval ratio = perplexity_ratio(text, *reference.text);
         return interval_text(ratio, 1, 5) + noise_text(ratio);
       }},
      {"mean KL divergence, nats", [](const ReportVariant&, const ReportText& text) -> std::string {
         return text.kl ? with_deviation(text.kl->mean, text.kl->standard_error) : "";
       }}};
  for (const Percentile& percentile : kPercentiles) {
    rows.emplace_back(fmt::format("KL divergence, {}", percentile.title),
                      [&percentile](const ReportVariant& variant, const ReportText&) {
                        const auto value = find_percentile(variant, percentile.name);
                        return value ? significant_text(*value, 3) : "";
                      });
  }
  rows.emplace_back("same top token", share(&ReportText::same_top));
  rows.emplace_back("shared top 5", share(&ReportText::top5_overlap));
  rows.emplace_back("right token's probability", share(&ReportText::probability_difference));

  std::vector<std::string> names;
  for (const auto& row : rows) names.push_back(row.first);
  add_table(section, results,
            {.title = "",
             .head = {"figure"},
             .note = fmt::format(
                 "\u00b1 is a standard error, from the windows. Divergences are from {}, token by token.",
                 reference.name)},
            names, [&](const ReportVariant& variant, size_t row) -> std::string {
              return variant.text ? rows[row].second(variant, *variant.text) : "";
            });
  return section;
}

DocumentSection task_section(const ReportResults& results) {
  DocumentSection section{"Tasks"};
  const std::vector<const ReportTask*> tasks = all_tasks(results);
  if (tasks.empty()) return section;
  const ReportVariant& reference = reference_of(results);
  std::vector<std::string> groups;
  for (const ReportTask* task : tasks)
    groups.push_back(fmt::format("{}\n{} {}", task->task, task->shots, task->shots == 1 ? "shot" : "shots"));
  const auto find = [&](const ReportVariant& variant, size_t group) {
    return find_task(variant, tasks[group]->task, tasks[group]->shots);
  };
  add_chart(section, results,
            {.title = "Accuracy",
             .x_label = "with the interval of 95 %",
             .y_label = "right answers, %",
             .unit = " %",
             .groups = groups},
            [&](const ReportVariant& variant, size_t group) -> GroupValue {
              const ReportTask* task = find(variant, group);
              return task == nullptr ? GroupValue{} : with_interval(interval_of(task->acc), 100);
            });
  add_chart(section, results,
            {.title = fmt::format("Accuracy kept of {}'s", reference.name),
             .x_label =
                 fmt::format("with the interval of 95 %; dashed: {}", percent_text(paper::kAccuracyClaim, 1)),
             .y_label = "kept, %",
             .unit = " %",
             .groups = groups,
             .bars = false,
             .limit = ChartLimit{100 * paper::kAccuracyClaim, "what the paper says is kept at least"}},
            [&](const ReportVariant& variant, size_t group) -> GroupValue {
              const ReportTask* task = find(variant, group);
              return task == nullptr || !task->kept ? GroupValue{} : with_interval(*task->kept, 100);
            });

  const std::string claim = percent_text(paper::kAccuracyClaim, 1);
  DocumentTable table{
      .title = "",
      .head = {"task", "variant", "questions", "acc, % (95 %)", "acc kept, % (95 %)",
               fmt::format("at least {}?", claim), "acc_norm, % (95 %)", "acc_norm kept, % (95 %)"}};
  table.note = fmt::format(
      "acc: the right choice has the largest likelihood; acc_norm: by its length. Kept: of {}'s on the same "
      "questions; noise where the interval holds 100. At least {} of acc is kept where the whole interval is "
      "above, not kept where it is below.",
      reference.name, claim);
  const auto kept_text = [](const std::optional<Interval>& kept) {
    return kept ? interval_text(*kept, 100, 2) + noise_text(*kept) : "";
  };
  for (size_t i = 0; i < tasks.size(); ++i) {
    for (const ReportVariant& variant : results.variants) {
      const ReportTask* task = find(variant, i);
      if (task == nullptr) continue;
      table.rows.push_back({title_of(*task), variant.name,
                            fixed_text(static_cast<double>(task->questions), 0),
                            interval_text(interval_of(task->acc), 100, 2), kept_text(task->kept),
                            task->kept ? kept_verdict(*task->kept, paper::kAccuracyClaim) : "",
                            interval_text(interval_of(task->acc_norm), 100, 2), kept_text(task->kept_norm)});
    }
  }
  section.tables.push_back(std::move(table));
  if (DocumentTable subjects = subjects_table(results, tasks); !subjects.rows.empty())
    section.tables.push_back(std::move(subjects));
  return section;
}

}  // namespace stonechat
