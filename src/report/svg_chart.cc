#include "report/svg_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "report/svg_axis.h"

namespace stonechat {
namespace {

// In units of the viewBox.
constexpr double kHeight = 220;
constexpr double kLeft = 52;
constexpr double kRight = 10;
constexpr double kTop = 10;
constexpr double kBottom = 38;

class ChartWriter {
 public:
  explicit ChartWriter(const Chart& chart) : chart_(chart), y_(y_axis(chart)) {
    for (const auto& series : chart.series) layers_ = std::max(layers_, series.values.size());
  }

  std::string write() {
    out_ = figure_begin(chart_.title, kFigureWidth, kHeight);
    axes();
    for (size_t i = 0; i < chart_.series.size(); ++i) series(i);
    return out_ + "</svg></figure>\n";
  }

 private:
  static SvgAxis y_axis(const Chart& chart) {
    std::vector<double> values;
    for (const auto& series : chart.series)
      values.insert(values.end(), series.values.begin(), series.values.end());
    if (chart.limit) values.push_back(chart.limit->value);
    return SvgAxis::of(values, chart.logarithmic);
  }

  double x(double layer) const {
    const double count = static_cast<double>(std::max<size_t>(1, layers_));
    return kLeft + (layer + 0.5) / count * (kFigureWidth - kLeft - kRight);
  }
  double y(double value) const { return kHeight - kBottom - y_.place(value) * (kHeight - kTop - kBottom); }

  void axes() {
    for (const double tick : y_.ticks()) {
      out_ += fmt::format(
          "<line class=\"grid\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
          "<text class=\"tick\" text-anchor=\"end\" x=\"{3}\" y=\"{4:.1f}\">{5}</text>\n",
          kLeft, kFigureWidth - kRight, y(tick), kLeft - 5, y(tick) + 4, axis_number(tick));
    }
    const size_t step = std::max<size_t>(1, (layers_ + 7) / 8);
    for (size_t layer = 0; layer < layers_; layer += step) {
      out_ += fmt::format("<text class=\"tick\" text-anchor=\"middle\" x=\"{:.1f}\" y=\"{}\">{}</text>\n",
                          x(static_cast<double>(layer)), kHeight - kBottom + 15, layer);
    }
    out_ += fmt::format("<line class=\"axis\" x1=\"{0}\" x2=\"{1}\" y1=\"{2}\" y2=\"{2}\"/>\n", kLeft,
                        kFigureWidth - kRight, kHeight - kBottom);
    out_ += fmt::format("<text class=\"label\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">layer</text>\n",
                        (kLeft + kFigureWidth - kRight) / 2, kHeight - 6);
    out_ += fmt::format(
        "<text class=\"label\" text-anchor=\"middle\" transform=\"translate(11 {}) rotate(-90)\">{}</text>\n",
        (kTop + kHeight - kBottom) / 2, html_text(chart_.y_label));
    if (chart_.limit) out_ += limit_line(*chart_.limit, kLeft, kFigureWidth - kRight, y(chart_.limit->value));
  }

  void series(size_t index) {
    const ChartSeries& series = chart_.series[index];
    // Points of several series lie beside each other within their layer.
    const double shift =
        chart_.lines
            ? 0
            : (static_cast<double>(index) + 0.5) / static_cast<double>(chart_.series.size()) * 0.8 - 0.4;
    std::string path;
    std::string marks;
    bool connected = false;
    for (size_t layer = 0; layer < series.values.size(); ++layer) {
      const double value = series.values[layer];
      if (!y_.holds(value)) {
        connected = false;
        continue;
      }
      const double at = x(static_cast<double>(layer) + shift);
      path += fmt::format("{}{:.1f} {:.1f}", connected ? "L" : "M", at, y(value));
      connected = true;
      marks += fmt::format(
          "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"><title>{}, layer {}: {}{}</title></circle>", at,
          y(value), chart_.lines ? 2 : 3, html_text(series.label), layer, axis_number(value),
          html_text(chart_.unit));
    }
    out_ += fmt::format("<g class=\"{}{}\">", chart_.style, index % kHues);
    if (chart_.lines) out_ += fmt::format("<path d=\"{}\"/>", path);
    out_ += marks + "</g>\n";
  }

  const Chart& chart_;
  SvgAxis y_;
  size_t layers_ = 0;
  std::string out_;
};

}  // namespace

std::string html_text(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string svg_chart(const Chart& chart) {
  return ChartWriter(chart).write();
}

std::string svg_bars(const std::string& title, const std::string& x_label, const std::vector<Bar>& bars) {
  constexpr double kLabels = 172;
  constexpr double kValues = 72;
  constexpr double kRow = 18;
  constexpr double kThick = 12;
  double most = 0;
  for (const Bar& bar : bars) most = std::max(most, bar.value);
  // Three digits of the largest, and as many decimals of all, so that sizes show at a glance.
  const int decimals = most > 0 ? std::max(0, 2 - static_cast<int>(std::floor(std::log10(most)))) : 0;
  const double height = kTop + kRow * static_cast<double>(bars.size()) + kBottom - 14;
  std::string out = figure_begin(title, kFigureWidth, height);
  double top = kTop;
  for (const Bar& bar : bars) {
    const double length = most > 0 ? bar.value / most * (kFigureWidth - kLabels - kValues) : 0;
    out += fmt::format(
        "<g class=\"c0\"><title>{}</title><text class=\"tick\" text-anchor=\"end\" x=\"{}\" "
        "y=\"{:.1f}\">{}</text>"
        "<rect x=\"{}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{}\"/><text class=\"tick\" x=\"{:.1f}\" "
        "y=\"{:.1f}\">{}</text></g>\n",
        html_text(bar.note), kLabels - 6, top + kThick - 2, html_text(bar.label), kLabels, top, length,
        kThick, kLabels + length + 5, top + kThick - 2, fmt::format("{:.{}f}", bar.value, decimals));
    top += kRow;
  }
  out += fmt::format("<line class=\"axis\" x1=\"{0}\" x2=\"{0}\" y1=\"{1}\" y2=\"{2:.1f}\"/>", kLabels,
                     kTop - 3, top);
  out += fmt::format("<text class=\"label\" text-anchor=\"middle\" x=\"{}\" y=\"{:.1f}\">{}</text>\n",
                     (kLabels + kFigureWidth) / 2, height - 6, html_text(x_label));
  return out + "</svg></figure>\n";
}

std::string figure_begin(const std::string& title, double width, double height) {
  return fmt::format(
      "<figure><figcaption>{0}</figcaption><svg viewBox=\"0 0 {1} {2}\" role=\"img\" "
      "aria-label=\"{0}\">\n",
      html_text(title), width, height);
}

std::string limit_line(const ChartLimit& limit, double left, double right, double y) {
  return fmt::format(
      "<line class=\"limit\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"><title>{3}</title></line>\n",
      left, right, y, html_text(limit.label));
}

std::string svg_legend(std::string_view style, const std::vector<std::string>& labels) {
  std::string out = "<p class=\"legend\">";
  for (size_t i = 0; i < labels.size(); ++i) {
    out += fmt::format(
        "<span><svg viewBox=\"0 0 22 10\" width=\"22\" height=\"10\" aria-hidden=\"true\"><g class=\"{}{}\">"
        "<path d=\"M1 5L21 5\"/><circle cx=\"11\" cy=\"5\" r=\"3\"/></g></svg> {}</span> ",
        style, i % kHues, html_text(labels[i]));
  }
  return out + "</p>\n";
}

}  // namespace stonechat
