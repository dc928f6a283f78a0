// The sections of a report that are more than a table: for report.cc.
#pragma once

#include <algorithm>
#include <cmath>

#include "report/document.h"
#include "report/results.h"

namespace stonechat {

// Each leaves out tables, columns and plots for which nothing was measured; one without any is empty.
DocumentSection paper_section(const ReportResults& results);
DocumentSection speed_section(const ReportResults& results);
DocumentSection memory_section(const ReportResults& results);
DocumentSection text_section(const ReportResults& results);
DocumentSection task_section(const ReportResults& results);

// A plot with a series for each variant that has a value: value_of(variant, group). It is cut in several
// where names and numbers wouldn't fit.
template <typename ValueOf>
void add_chart(DocumentSection& section, const ReportResults& results, GroupChart chart, ValueOf value_of) {
  // A bar needs the width of its number, a group that of its name.
  const size_t most_groups = std::clamp<size_t>(24 / results.variants.size(), 1, 5);
  const std::vector<std::string> groups = std::move(chart.groups);
  const size_t charts = (groups.size() + most_groups - 1) / most_groups;
  for (size_t i = 0; i < charts; ++i) {
    const size_t begin = i * groups.size() / charts;
    const size_t end = (i + 1) * groups.size() / charts;
    GroupChart part = chart;
    part.groups = {groups.begin() + begin, groups.begin() + end};
    for (size_t variant = 0; variant < results.variants.size(); ++variant) {
      GroupSeries series{results.variants[variant].name, {}, variant + 1};
      bool has_some = false;
      for (size_t group = begin; group < end; ++group) {
        series.values.push_back(value_of(results.variants[variant], group));
        has_some = has_some || std::isfinite(series.values.back().value);
      }
      if (has_some) part.series.push_back(std::move(series));
    }
    if (!part.series.empty()) section.charts.push_back(std::move(part));
  }
}

// A table with a row for each name and a column for each variant: cell_of(variant, row). Rows, columns and
// tables without any figure are left out.
template <typename CellOf>
void add_table(DocumentSection& section, const ReportResults& results, DocumentTable table,
               const std::vector<std::string>& rows, CellOf cell_of) {
  std::vector<std::vector<std::string>> cells(rows.size());
  for (size_t row = 0; row < rows.size(); ++row) cells[row] = {rows[row]};
  for (const ReportVariant& variant : results.variants) {
    std::vector<std::string> column;
    for (size_t row = 0; row < rows.size(); ++row) column.push_back(cell_of(variant, row));
    if (std::all_of(column.begin(), column.end(), [](const std::string& cell) { return cell.empty(); }))
      continue;
    table.head.push_back(variant.name);
    for (size_t row = 0; row < rows.size(); ++row) cells[row].push_back(std::move(column[row]));
  }
  for (auto& row : cells) {
    if (std::any_of(row.begin() + 1, row.end(), [](const std::string& cell) { return !cell.empty(); }))
      table.rows.push_back(std::move(row));
  }
  if (!table.rows.empty()) section.tables.push_back(std::move(table));
}

}  // namespace stonechat
