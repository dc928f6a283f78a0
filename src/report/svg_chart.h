// Small charts over a model's layers, as inline SVG for a page that stands for itself.
//
// Colours come from the page's style: series i has the class of the chart's style and i, such as "c0"; text
// and axes have classes of their own. Every mark carries a <title>, which browsers show when one points at
// it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stonechat {

struct ChartSeries {
  std::string label;           // "99.9 %": plain text
  std::vector<double> values;  // by layer; NaN: none. On a logarithmic axis only those above 0 are shown
};

struct ChartLimit {
  double value;
  std::string label;
};

struct Chart {
  std::string title;
  std::string y_label;  // with its unit
  std::string unit;     // after values, " %" or ""
  bool logarithmic = true;
  bool lines = true;       // else points, those of several series beside each other
  std::string style = "";  // prefix of the series' classes
  std::optional<ChartLimit> limit = std::nullopt;
  std::vector<ChartSeries> series = {};
};

// A <figure> with caption and <svg>. Nothing but the text of labels is taken from outside, escaped here.
std::string svg_chart(const Chart& chart);

struct Bar {
  std::string label;
  double value;      // 0 or more
  std::string note;  // shown when one points at it
};

// A <figure> with a bar from 0 for each value, which is written beside it.
std::string svg_bars(const std::string& title, const std::string& x_label, const std::vector<Bar>& bars);

// Swatches with the labels of series that several charts share.
std::string svg_legend(std::string_view style, const std::vector<std::string>& labels);

// In units of the viewBox, which is about a pixel on a narrow screen.
inline constexpr double kFigureWidth = 360;
inline constexpr size_t kHues = 6;  // series that come after have the colours of the first again

// A <figure> up to what is drawn in its <svg>, in units of the viewBox.
std::string figure_begin(const std::string& title, double width, double height);

// A limit at the height y of such a drawing.
std::string limit_line(const ChartLimit& limit, double left, double right, double y);

// Text as it may stand in a page: &, <, >, quotes and control characters are spelled.
std::string html_text(std::string_view text);

}  // namespace stonechat
