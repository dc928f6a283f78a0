#include <fmt/format.h>

#include <algorithm>

#include "report/number_text.h"
#include "report/report_parts.h"
#include "report/variants.h"

namespace stonechat {
namespace {

struct SeriesField {
  const char* title;
  uint64_t MemorySeries::*value;
};
constexpr SeriesField kSeriesFields[] = {{"minimum", &MemorySeries::minimum},
                                         {"median", &MemorySeries::median},
                                         {"p95", &MemorySeries::p95},
                                         {"peak", &MemorySeries::peak}};

// Names with what tables call them, in the order of tables; others come after by name.
using Titles = std::vector<std::pair<std::string, std::string>>;
const Titles& series_titles() {
  static const Titles kTitles = {
      {"pss", "PSS"}, {"rss", "RSS"}, {"anonymous", "anonymous"}, {"file", "of files"}};
  return kTitles;
}
const Titles& part_titles() {
  static const Titles kTitles = {
      {"weights", "weights"}, {"kv_cache", "KV cache"},   {"activations", "activations"},
      {"logits", "logits"},   {"tokenizer", "tokenizer"}, {"packing", "packing"},
      {"other", "other"}};
  return kTitles;
}

// Those titles that any variant has, and what else it has.
template <typename Map>
Titles present(const ReportResults& results, const Titles& titles, Map ReportMemory::*map) {
  Titles result;
  const auto has = [&](const std::string& name) {
    return std::any_of(results.variants.begin(), results.variants.end(), [&](const ReportVariant& variant) {
      return variant.memory && ((*variant.memory).*map).count(name) != 0;
    });
  };
  for (const auto& title : titles) {
    if (has(title.first)) result.push_back(title);
  }
  for (const ReportVariant& variant : results.variants) {
    if (!variant.memory) continue;
    for (const auto& item : (*variant.memory).*map) {
      const bool is_new = std::none_of(result.begin(), result.end(),
                                       [&](const auto& title) { return title.first == item.first; });
      if (is_new) result.emplace_back(item.first, item.first);
    }
  }
  return result;
}

const uint64_t* find_part(const ReportVariant& variant, const std::string& part) {
  if (!variant.memory) return nullptr;
  const auto found = variant.memory->parts.find(part);
  return found == variant.memory->parts.end() ? nullptr : &found->second;
}

double sum_of_parts(const ReportVariant& variant) {
  double sum = 0;
  for (const auto& part : variant.memory->parts) sum += static_cast<double>(part.second);
  return sum;
}

void add_parts(DocumentSection& section, const ReportResults& results) {
  const Titles parts = present(results, part_titles(), &ReportMemory::parts);
  if (parts.empty()) return;
  // Weights would leave the others no height, and what nobody needs has none.
  std::vector<std::string> charted;
  std::vector<std::string> groups;
  for (const auto& part : parts) {
    const std::string& name = part.first;
    const std::string& title = part.second;
    const bool is_used =
        std::any_of(results.variants.begin(), results.variants.end(), [&](const ReportVariant& variant) {
          const uint64_t* bytes = find_part(variant, name);
          return bytes != nullptr && *bytes != 0;
        });
    if (name == "weights" || !is_used) continue;
    charted.push_back(name);
    groups.push_back(title == "KV cache" ? "KV\ncache" : title);
  }
  add_chart(section, results,
            {.title = "Memory by part, besides weights",
             .x_label = "part",
             .y_label = "MB",
             .unit = " MB",
             .groups = groups},
            [&](const ReportVariant& variant, size_t group) -> GroupValue {
              const uint64_t* bytes = find_part(variant, charted[group]);
              return bytes == nullptr ? GroupValue{} : GroupValue{1e-6 * static_cast<double>(*bytes)};
            });
  std::vector<std::string> rows;
  for (const auto& part : parts) rows.push_back(part.second);
  rows.push_back("sum");
  add_table(section, results, {.title = "Memory by part at the end, MB", .head = {"part"}}, rows,
            [&](const ReportVariant& variant, size_t row) -> std::string {
              if (row == parts.size())
                return variant.memory && !variant.memory->parts.empty()
                           ? megabytes_text(sum_of_parts(variant))
                           : "";
              const uint64_t* bytes = find_part(variant, parts[row].first);
              return bytes == nullptr ? "" : megabytes_text(static_cast<double>(*bytes));
            });
}

}  // namespace

DocumentSection memory_section(const ReportResults& results) {
  DocumentSection section{"Memory"};
  std::vector<std::string> groups;
  for (const SeriesField& field : kSeriesFields) groups.push_back(field.title);
  add_chart(section, results,
            {.title = "Memory of the process (PSS, or RSS)",
             .x_label = "while loading, reading and answering",
             .y_label = "MB",
             .unit = " MB",
             .groups = groups},
            [&](const ReportVariant& variant, size_t group) -> GroupValue {
              const MemorySeries* series = find_process_memory(variant);
              return series == nullptr
                         ? GroupValue{}
                         : GroupValue{1e-6 * static_cast<double>(series->*kSeriesFields[group].value)};
            });

  DocumentTable table{"Memory of the process, MB", {"variant", "context", "kind"}};
  for (const SeriesField& field : kSeriesFields) table.head.push_back(field.title);
  for (const ReportVariant& variant : results.variants) {
    for (const auto& [name, title] : present(results, series_titles(), &ReportMemory::series)) {
      if (!variant.memory || variant.memory->series.count(name) == 0) continue;
      std::vector<std::string> row = {variant.name, fixed_text(variant.memory->context, 0), title};
      for (const SeriesField& field : kSeriesFields)
        row.push_back(megabytes_text(static_cast<double>(variant.memory->series.at(name).*field.value)));
      table.rows.push_back(std::move(row));
    }
  }
  table.note =
      "1 MB is 10^6 bytes; the context is in tokens. Sampled every 20 ms while the model is loaded, reads a "
      "prompt and answers. PSS counts pages that processes share in parts.";
  if (!table.rows.empty()) section.tables.push_back(std::move(table));
  add_parts(section, results);
  return section;
}

}  // namespace stonechat
