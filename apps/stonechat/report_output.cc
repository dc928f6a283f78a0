#include "report_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/memory_parts.h"
#include "eval/statistics.h"
#include "report/report.h"
#include "report/results_json.h"

namespace stonechat {
namespace {

// A column of the table: its title, and a variant's text, empty where there is none.
struct Column {
  std::string title;
  std::function<std::string(const ReportVariant&)> text;
};

Column speed_column(const ReportSpeed& like) {
  const std::string title =
      like.prompt > 0 ? fmt::format("prompt {}", like.prompt) : fmt::format("decode {}", like.generate);
  return {title + ", t/s", [test = like.test](const ReportVariant& variant) -> std::string {
            for (const ReportSpeed& speed : variant.speeds) {
              if (speed.test == test) return fmt::format("{:.1f}", estimate(speed.samples).mean);
            }
            return "";
          }};
}

// Of speeds one prompt and one answer, the longest; of tasks all.
std::vector<Column> columns_of(const ReportResults& results) {
  const ReportVariant& reference = results.variants[0];
  std::vector<Column> columns = {{"", [](const ReportVariant& variant) { return variant.name; }},
                                 {"MiB", [](const ReportVariant& variant) {
                                    return fmt::format("{:.1f}", mebibytes(variant.weights_bytes));
                                  }}};
  const ReportSpeed* prompt = nullptr;
  const ReportSpeed* decode = nullptr;
  for (const ReportSpeed& speed : reference.speeds) (speed.prompt > 0 ? prompt : decode) = &speed;
  if (prompt != nullptr) columns.push_back(speed_column(*prompt));
  if (decode != nullptr) columns.push_back(speed_column(*decode));
  columns.push_back({"peak MiB", [](const ReportVariant& variant) -> std::string {
                       if (!variant.memory) return "";
                       const auto found = variant.memory->series.find("rss");
                       if (found == variant.memory->series.end()) return "";
                       return fmt::format("{:.0f}", mebibytes(found->second.peak));
                     }});
  columns.push_back({"perplexity", [](const ReportVariant& variant) {
                       return variant.text ? fmt::format("{:.3f}", variant.text->perplexity.mean) : "";
                     }});
  columns.push_back({"KL, nats", [](const ReportVariant& variant) {
                       return variant.text && variant.text->kl ? fmt::format("{:.5f}", variant.text->kl->mean)
                                                               : "";
                     }});
  for (const ReportTask& like : reference.tasks) {
    columns.push_back({like.task, [name = like.task](const ReportVariant& variant) -> std::string {
                         for (const ReportTask& task : variant.tasks) {
                           if (task.task == name) return fmt::format("{:.1f} %", 100 * task.acc.mean);
                         }
                         return "";
                       }});
  }
  return columns;
}

}  // namespace

void write_report(const ReportResults& results, const std::string& directory) {
  write_text_file(directory + "/results.json", results_json(results));
  write_text_file(directory + "/report.md", markdown_report(results));
  write_text_file(directory + "/report.html", html_report(results));
}

void print_summary(const ReportResults& results, const std::string& directory) {
  std::vector<std::string> lines(results.variants.size() + 1);
  for (const Column& column : columns_of(results)) {
    std::vector<std::string> cells = {column.title};
    for (const ReportVariant& variant : results.variants) cells.push_back(column.text(variant));
    const bool is_name = column.title.empty();
    if (!is_name &&
        std::all_of(cells.begin() + 1, cells.end(), [](const auto& cell) { return cell.empty(); }))
      continue;
    size_t width = 0;
    for (const std::string& cell : cells) width = std::max(width, cell.size());
    for (size_t i = 0; i < cells.size(); ++i)
      lines[i] += is_name ? fmt::format("{:<{}}", cells[i], width) : fmt::format("  {:>{}}", cells[i], width);
  }
  for (const std::string& line : lines) fmt::print("{}\n", line);
  for (const auto& [part, reason] : results.missing) fmt::print("missing: {}: {}\n", part, printable(reason));
  for (const char* file : {"report.html", "report.md", "results.json", "results.sqlite"})
    fmt::print("{}/{}\n", directory, file);
}

}  // namespace stonechat
