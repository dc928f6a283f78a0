#include "report/svg_groups.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/number_text.h"
#include "report/svg_axis.h"

namespace stonechat {
namespace {

class GroupWriter {
 public:
  explicit GroupWriter(const GroupChart& chart) : chart_(chart), y_(y_axis(chart)) {
    for (const std::string& group : chart.groups) {
      if (group.find('\n') != std::string::npos) group_lines_ = 2;
    }
    // Below the plot: the numbers of series, the names of groups, the label.
    height_ = kBase + kLine * (group_lines_ + 2) + 16;
  }

  std::string write() {
    out_ = figure_begin(chart_.title, kFigureWidth, height_);
    axes();
    for (size_t i = 0; i < chart_.series.size(); ++i) series(i);
    if (chart_.limit) out_ += limit_line(*chart_.limit, kLeft, kFigureWidth - kRight, y(chart_.limit->value));
    return out_ + "</svg></figure>\n";
  }

 private:
  // In units of the viewBox.
  static constexpr double kPlot = 170;  // height of what values lie in
  static constexpr double kLeft = 70;
  static constexpr double kRight = 8;
  static constexpr double kTop = 10;
  static constexpr double kBase = kTop + kPlot;
  static constexpr double kLine = 14;          // of text
  static constexpr double kGroupShare = 0.84;  // of a group's width that has bars
  static constexpr double kNumberWidth = 7.5;  // where bars are narrower, their numbers are left out

  static SvgAxis y_axis(const GroupChart& chart) {
    std::vector<double> values;
    for (const GroupSeries& series : chart.series) {
      for (const GroupValue& value : series.values)
        values.insert(values.end(), {value.value, value.low, value.high});
    }
    if (chart.limit) values.push_back(chart.limit->value);
    return SvgAxis::of(values, chart.logarithmic, chart.bars);
  }

  double group_width() const {
    return (kFigureWidth - kLeft - kRight) / static_cast<double>(std::max<size_t>(1, chart_.groups.size()));
  }
  double slot_width() const {
    return group_width() * kGroupShare / static_cast<double>(std::max<size_t>(1, chart_.series.size()));
  }
  double group_centre(size_t group) const {
    return kLeft + (static_cast<double>(group) + 0.5) * group_width();
  }
  double slot_centre(size_t group, size_t series) const {
    return group_centre(group) +
           (static_cast<double>(series) + 0.5 - static_cast<double>(chart_.series.size()) / 2) * slot_width();
  }
  double y(double value) const { return kBase - y_.place(value) * kPlot; }

  void text(const char* style, double x, double y, const std::string& text, const char* anchor = "middle") {
    out_ += fmt::format("<text class=\"{}\" text-anchor=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", style,
                        anchor, x, y, html_text(text));
  }

  void axes() {
    for (const double tick : y_.ticks()) {
      out_ += fmt::format("<line class=\"grid\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>", kLeft,
                          kFigureWidth - kRight, y(tick));
      text("tick", kLeft - 5, y(tick) + 4, axis_number(tick), "end");
    }
    out_ += fmt::format("<line class=\"axis\" x1=\"{0}\" x2=\"{1}\" y1=\"{2}\" y2=\"{2}\"/>\n", kLeft,
                        kFigureWidth - kRight, kBase);
    for (size_t group = 0; group < chart_.groups.size(); ++group) {
      const std::string& name = chart_.groups[group];
      const size_t end = std::min(name.find('\n'), name.size());
      text("tick", group_centre(group), kBase + 13 + kLine, name.substr(0, end));
      if (end < name.size()) text("tick", group_centre(group), kBase + 13 + 2 * kLine, name.substr(end + 1));
      if (slot_width() < kNumberWidth) continue;
      for (size_t i = 0; i < chart_.series.size(); ++i)
        text("tick", slot_centre(group, i), kBase + 13, std::to_string(chart_.series[i].number));
    }
    text("label", (kLeft + kFigureWidth - kRight) / 2, height_ - 8, chart_.x_label);
    out_ += fmt::format(
        "<text class=\"label\" text-anchor=\"middle\" transform=\"translate(12 {}) rotate(-90)\">{}</text>\n",
        (kTop + kBase) / 2, html_text(chart_.y_label));
  }

  void series(size_t index) {
    const GroupSeries& series = chart_.series[index];
    out_ += fmt::format("<g class=\"c{}\">", (series.number - 1) % kHues);
    for (size_t group = 0; group < std::min(series.values.size(), chart_.groups.size()); ++group) {
      if (y_.holds(series.values[group].value)) mark(series, group, slot_centre(group, index));
    }
    out_ += "</g>\n";
  }

  void mark(const GroupSeries& series, size_t group, double x) {
    const GroupValue& value = series.values[group];
    const bool has_error = y_.holds(value.low) && y_.holds(value.high);
    out_ += fmt::format("<g class=\"mark\"><title>{}, {}: {}{}{}</title>", html_text(series.label),
                        html_text(chart_.groups[group]), significant_text(value.value, 4),
                        has_error ? fmt::format(" ({} to {})", significant_text(value.low, 4),
                                                significant_text(value.high, 4))
                                  : "",
                        html_text(chart_.unit));
    if (chart_.bars) {
      const double width = std::max(1.0, slot_width() - 2);
      // One of 0 is a line, so that it isn't one that is missing.
      const double height = std::max(1.0, std::fabs(y(value.value) - y(0)));
      const double top = value.value < 0 ? y(0) : y(0) - height;
      out_ += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>",
                          x - width / 2, top, width, height);
    }
    if (has_error) {
      const double cap = std::min(4.0, slot_width() / 2 - 1);
      const std::string path =
          fmt::format("M{0:.1f} {2:.1f}H{1:.1f}M{0:.1f} {3:.1f}H{1:.1f}M{4:.1f} {2:.1f}V{3:.1f}", x - cap,
                      x + cap, y(value.low), y(value.high), x);
      out_ += fmt::format("<path class=\"halo\" d=\"{0}\"/><path class=\"error\" d=\"{0}\"/>", path);
    }
    if (!chart_.bars)
      out_ += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\"/>", x, y(value.value));
    out_ += "</g>";
  }

  const GroupChart& chart_;
  SvgAxis y_;
  int group_lines_ = 1;
  double height_ = 0;
  std::string out_;
};

}  // namespace

std::string svg_groups(const GroupChart& chart) {
  return GroupWriter(chart).write();
}

std::string svg_numbered_legend(const std::vector<std::string>& labels) {
  std::string out = "<p class=\"legend\">";
  for (size_t i = 0; i < labels.size(); ++i) {
    out += fmt::format(
        "<span><svg viewBox=\"0 0 12 12\" width=\"12\" height=\"12\" aria-hidden=\"true\"><g class=\"c{}\">"
        "<rect width=\"12\" height=\"12\" rx=\"2\"/></g></svg> <b>{}</b> {}</span> ",
        i % kHues, i + 1, html_text(labels[i]));
  }
  return out + "</p>\n";
}

}  // namespace stonechat
