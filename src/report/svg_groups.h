// A plot of groups (tests, tasks) with one bar or point a series (variant) in each, and error bars.
//
// Series are told apart by numbers below their bars as well as by colour; svg_numbered_legend() says what
// the numbers mean. Values have a <title>, which browsers show when one points at them.
#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "report/svg_chart.h"

namespace stonechat {

struct GroupValue {
  double value = NAN;  // NaN: none
  double low = NAN;    // of the error bar; NaN: no bar
  double high = NAN;
};

struct GroupSeries {
  std::string label;               // plain text
  std::vector<GroupValue> values;  // one a group
  size_t number = 1;               // as the legend has it, from 1
};

struct GroupChart {
  std::string title;
  std::string x_label;
  std::string y_label;              // with its unit
  std::string unit;                 // after values, " tokens/s"
  std::vector<std::string> groups;  // a line end makes two lines
  std::vector<GroupSeries> series = {};
  bool bars = true;          // from 0; else points, on an axis around the values
  bool logarithmic = false;  // of points only; those of 0 are left out
  std::optional<ChartLimit> limit = std::nullopt;
};

// A <figure> with caption and <svg>. All text is escaped here.
std::string svg_groups(const GroupChart& chart);

// A swatch, number and label of each series, in the order of numbers from 1.
std::string svg_numbered_legend(const std::vector<std::string>& labels);

}  // namespace stonechat
