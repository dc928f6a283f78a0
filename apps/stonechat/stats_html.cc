#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <utility>

#include "report/html_page.h"
#include "report/svg_chart.h"
#include "stats_report.h"

namespace stonechat {
namespace {

// A figure of a table or fact: four digits.
std::string digits(double value) {
  return fmt::format("{:.4g}", value);
}

class Page {
 public:
  explicit Page(const CalibrationStats& stats) : stats_(stats) {}

  std::string write() {
    out_ = page_begin("Calibration of " + stats_.model);
    out_ += fmt::format(
        "<p class=\"soft\">{}, mostly {}, {} layers, width {}; over {} chunks of {} tokens of {}. "
        "Activations and weights have no unit.</p>\n",
        html_text(stats_.architecture), html_text(stats_.file_type), stats_.shape.layers, stats_.shape.width,
        stats_.chunks, stats_.chunk_size, html_text(stats_.text));
    facts();
    ranges();
    outliers();
    key_biases();
    weight_errors();
    tables();
    return out_ + page_end();
  }

 private:
  void heading(std::string_view title, std::string_view text) {
    out_ += fmt::format("<h2>{}</h2>\n<p class=\"soft\">{}</p>\n", title, text);
  }
  void fact(std::string_view label, const std::string& value, const std::string& where) {
    out_ += fmt::format("<div><span class=\"soft\">{}</span><b>{}</b><span class=\"soft\">{}</span></div>\n",
                        label, value, html_text(where));
  }

  // One value a layer.
  template <typename ValueOf>
  std::vector<double> by_layer(ValueOf&& value_of) const {
    std::vector<double> values;
    for (uint32_t layer = 0; layer < stats_.shape.layers; ++layer) values.push_back(value_of(layer));
    return values;
  }
  static double ratio(const TapStats& tap) {
    const double median = tap.median_channel();
    return median > 0 ? tap.largest() / median : NAN;
  }
  double largest_bias(uint32_t layer, uint32_t head) const {
    double largest = 0;
    for (uint32_t i = 0; i < stats_.shape.head_dim; ++i)
      largest = std::max(
          largest, std::fabs(double{stats_.key_biases[layer][size_t{head} * stats_.shape.head_dim + i]}));
    return largest;
  }

  void facts() {
    const TapStats* largest = &stats_.taps[0];
    const TapStats* widest = &stats_.taps[0];
    for (const TapStats& tap : stats_.taps) {
      if (tap.largest() > largest->largest()) largest = &tap;
      if (tap.outliers().size() > widest->outliers().size()) widest = &tap;
    }
    out_ += "<div class=\"facts\">\n";
    fact("Largest activation", digits(largest->largest()), largest->place.name());
    fact("Most outlier channels", std::to_string(widest->outliers().size()),
         fmt::format("of {} in {}", widest->minima.size(), widest->place.name()));
    std::pair<double, std::string> bias{0, "the model has none"};
    for (uint32_t layer = 0; layer < stats_.key_biases.size(); ++layer) {
      for (uint32_t head = 0; head < stats_.shape.kv_heads; ++head) {
        if (const double one = largest_bias(layer, head); one > bias.first)
          bias = {one, fmt::format("layer {}, head {}", layer, head)};
      }
    }
    fact("Largest key bias", digits(bias.first), bias.second);
    fact("Tokens", std::to_string(stats_.tokens()), stats_.text);
    out_ += "</div>\n";
  }

  void ranges() {
    heading("Ranges across depth",
            "Magnitudes |x| of each kind of activation: percentiles over all tokens and channels, and the "
            "largest.");
    const std::vector<std::string> labels = {"99 %", "99.9 %", "99.99 %", "largest"};
    out_ += svg_legend("r", labels) + "<div class=\"charts\">\n";
    for (uint32_t kind = 0; kind < kLayerTaps; ++kind) {
      const Tap tap = static_cast<Tap>(kind);
      const auto values = [&](auto&& of) {
        return by_layer([&](uint32_t layer) { return double{of(stats_.tap(tap, layer))}; });
      };
      out_ += svg_chart({.title = fmt::format("{} ({})", title(tap), name(tap)),
                         .y_label = "|x|",
                         .unit = "",
                         .style = "r",
                         .series = {{labels[0], values([](const TapStats& of) { return of.summary.p99; })},
                                    {labels[1], values([](const TapStats& of) { return of.summary.p99_9; })},
                                    {labels[2], values([](const TapStats& of) { return of.summary.p99_99; })},
                                    {labels[3], values([](const TapStats& of) { return of.largest(); })}}});
    }
    out_ += "</div>\n";
  }

  void outliers() {
    heading(
        "Outlier channels",
        fmt::format("The largest channel beside the median one: largest |x| of each channel over all tokens, "
                    "largest of these divided by their median. A channel beyond {} medians (dashed) is an "
                    "outlier; the table counts them.",
                    kOutlierRatio));
    out_ += "<div class=\"charts\">\n";
    for (uint32_t kind = 0; kind < kLayerTaps; ++kind) {
      const Tap tap = static_cast<Tap>(kind);
      out_ +=
          svg_chart({.title = fmt::format("{} ({})", title(tap), name(tap)),
                     .y_label = "largest / median channel",
                     .unit = " medians",
                     .style = "c",
                     .limit = ChartLimit{kOutlierRatio, fmt::format("{} medians", kOutlierRatio)},
                     .series = {{"largest channel",
                                 by_layer([&](uint32_t layer) { return ratio(stats_.tap(tap, layer)); })}}});
    }
    out_ +=
        "</div>\n<details><summary>Outlier channels by layer</summary><div "
        "class=\"scroll\"><table>\n<tr><th>layer</th>";
    for (uint32_t kind = 0; kind < kLayerTaps; ++kind)
      out_ += fmt::format("<th>{}</th>", name(static_cast<Tap>(kind)));
    out_ += "</tr>\n";
    for (uint32_t layer = 0; layer < stats_.shape.layers; ++layer) {
      out_ += fmt::format("<tr><td>{}</td>", layer);
      for (uint32_t kind = 0; kind < kLayerTaps; ++kind)
        out_ += fmt::format("<td>{}</td>", stats_.tap(static_cast<Tap>(kind), layer).outliers().size());
      out_ += "</tr>\n";
    }
    out_ += "</table></div></details>\n";
  }

  // Few heads have a hue each, many share one.
  Chart chart_by_head(std::string title, std::string y_label,
                      const std::function<double(uint32_t layer, uint32_t head)>& value_of) const {
    Chart chart{.title = std::move(title), .y_label = std::move(y_label), .unit = "", .lines = false};
    chart.style = stats_.shape.kv_heads <= kHues ? "c" : "c0 h";
    for (uint32_t head = 0; head < stats_.shape.kv_heads; ++head) {
      chart.series.push_back(
          {fmt::format("head {}", head), by_layer([&](uint32_t layer) { return value_of(layer, head); })});
    }
    return chart;
  }

  void key_biases() {
    heading(
        "Key biases",
        stats_.key_biases.empty()
            ? "The model adds no bias to its keys. The largest magnitudes of keys and values by head:"
            : "The largest bias of each key/value head, and the largest keys (with it) and values. Keys are "
              "cached: a large bias takes the resolution of a cache that holds it.");
    if (stats_.shape.kv_heads <= kHues) {
      std::vector<std::string> labels;
      for (uint32_t head = 0; head < stats_.shape.kv_heads; ++head)
        labels.push_back(fmt::format("head {}", head));
      out_ += svg_legend("c", labels);
    }
    out_ += "<div class=\"charts\">\n";
    if (!stats_.key_biases.empty()) {
      out_ += svg_chart(chart_by_head("largest key bias", "|bias|", [&](uint32_t layer, uint32_t head) {
        return largest_bias(layer, head);
      }));
    }
    for (const Tap tap : {Tap::kKeyOut, Tap::kKeyRotated, Tap::kValueOut}) {
      out_ += svg_chart(
          chart_by_head(fmt::format("largest of {}", title(tap)), "|x|", [&](uint32_t layer, uint32_t head) {
            const ActivationSummary& of = stats_.tap(tap, layer).heads[head];
            return std::max(std::fabs(double{of.minimum}), std::fabs(double{of.maximum}));
          }));
    }
    out_ += "</div>\n";
  }

  void weight_errors() {
    heading("Weight errors by scheme",
            "What rounding to each scheme does to a weight matrix: root of the sum of squared differences "
            "over the "
            "sum of squares. An error of 0 (weights that a scheme holds already) has no place on the axis.");
    // "blk.3.attn_q.weight" by "attn_q.weight", then by layer.
    std::vector<std::string> kinds;
    std::map<std::string, std::map<uint32_t, const WeightStats*>> of_kind;
    for (const WeightStats& weight : stats_.weights) {
      uint32_t layer = 0;
      int used = 0;
      if (std::sscanf(weight.name.c_str(), "blk.%9u.%n", &layer, &used) != 1 || used == 0) continue;
      const std::string kind = weight.name.substr(static_cast<size_t>(used));
      if (of_kind.find(kind) == of_kind.end()) kinds.push_back(kind);
      of_kind[kind][layer] = &weight;
    }
    out_ += svg_legend("c", stats_.schemes) + "<div class=\"charts\">\n";
    for (const std::string& kind : kinds) {
      Chart chart{.title = kind, .y_label = "relative rms error, %", .unit = " %", .style = "c"};
      for (size_t scheme = 0; scheme < stats_.schemes.size(); ++scheme) {
        chart.series.push_back({stats_.schemes[scheme], by_layer([&](uint32_t layer) {
                                  const auto found = of_kind[kind].find(layer);
                                  if (found == of_kind[kind].end()) return double{NAN};
                                  const double error = found->second->errors[scheme];
                                  return error < 0 ? double{NAN} : 100 * error;
                                })});
      }
      out_ += svg_chart(chart);
    }
    out_ += "</div>\n";
  }

  void tables() {
    out_ +=
        "<details><summary>All weights</summary><div "
        "class=\"scroll\"><table>\n<tr><th>weight</th><th>min</th>"
        "<th>max</th><th>deviation</th><th>kurtosis</th>";
    for (const std::string& scheme : stats_.schemes) out_ += fmt::format("<th>{}, %</th>", html_text(scheme));
    out_ += "</tr>\n";
    for (const WeightStats& weight : stats_.weights) {
      out_ +=
          fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>", html_text(weight.name),
                      digits(weight.moments.minimum), digits(weight.moments.maximum),
                      digits(weight.moments.deviation), digits(weight.kurtosis));
      for (const double error : weight.errors)
        out_ += fmt::format("<td>{}</td>", error < 0 ? "-" : fmt::format("{:.3f}", 100 * error));
      out_ += "</tr>\n";
    }
    out_ +=
        "</table></div></details>\n<details><summary>All activations</summary><div class=\"scroll\"><table>\n"
        "<tr><th>activation</th><th>min</th><th>max</th><th>mean</th><th>deviation</th><th>99 %</th>"
        "<th>99.9 %</th><th>99.99 %</th><th>outliers</th></tr>\n";
    for (const TapStats& tap : stats_.taps) {
      const ActivationSummary& of = tap.summary;
      out_ += fmt::format(
          "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>"
          "<td>{}</td></tr>\n",
          tap.place.name(), digits(of.minimum), digits(of.maximum), digits(of.mean), digits(of.deviation),
          digits(of.p99), digits(of.p99_9), digits(of.p99_99), tap.outliers().size());
    }
    out_ += "</table></div></details>\n";
  }

  const CalibrationStats& stats_;
  std::string out_;
};

}  // namespace

std::string stats_html(const CalibrationStats& stats) {
  return Page(stats).write();
}

}  // namespace stonechat
