#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "stats_report.h"

namespace stonechat {
namespace {

void append_taps(const CalibrationStats& stats, std::string& out) {
  out +=
      fmt::format("\n{:<22} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>10} {:>8}\n", "activations", "min",
                  "max", "mean", "deviation", "99 %", "99.9 %", "99.99 %", "max/median", "outliers");
  for (const TapStats& tap : stats.taps) {
    const ActivationSummary& of = tap.summary;
    const float median = tap.median_channel();
    out += fmt::format("{:<22} {:>9.4g} {:>9.4g} {:>9.3g} {:>9.4g} {:>9.4g} {:>9.4g} {:>9.4g} {:>10} {:>8}\n",
                       tap.place.name(), of.minimum, of.maximum, of.mean, of.deviation, of.p99, of.p99_9,
                       of.p99_99, median > 0 ? fmt::format("{:.1f}", tap.largest() / median) : "-",
                       tap.outliers().size());
  }
}

float largest_magnitude(const std::vector<float>& values, size_t first, size_t count) {
  float largest = 0;
  for (size_t i = first; i < first + count; ++i) largest = std::max(largest, std::fabs(values[i]));
  return largest;
}

void append_heads(const CalibrationStats& stats, std::string& out) {
  out += fmt::format("\n{:<12} {:>4} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}\n", "heads", "head",
                     "key bias", "key min", "key max", "key dev.", "value min", "value max", "value dev.");
  for (uint32_t layer = 0; layer < stats.shape.layers; ++layer) {
    for (uint32_t head = 0; head < stats.shape.kv_heads; ++head) {
      const ActivationSummary& key = stats.tap(Tap::kKeyOut, layer).heads[head];
      const ActivationSummary& value = stats.tap(Tap::kValueOut, layer).heads[head];
      const size_t first = size_t{head} * stats.shape.head_dim;
      const std::string bias = stats.key_biases.empty()
                                   ? "-"
                                   : fmt::format("{:.4g}", largest_magnitude(stats.key_biases[layer], first,
                                                                             stats.shape.head_dim));
      out += fmt::format(
          "blk.{:<8} {:>4} {:>10} {:>10.4g} {:>10.4g} {:>10.4g} {:>10.4g} {:>10.4g} {:>10.4g}\n", layer, head,
          bias, key.minimum, key.maximum, key.deviation, value.minimum, value.maximum, value.deviation);
    }
  }
}

void append_weights(const CalibrationStats& stats, std::string& out) {
  out += fmt::format("\n{:<28} {:>9} {:>9} {:>9} {:>9}", "weights", "min", "max", "deviation", "kurtosis");
  for (const std::string& scheme : stats.schemes) out += fmt::format(" {:>9}", scheme);
  out += "\n";
  for (const WeightStats& weight : stats.weights) {
    out += fmt::format("{:<28} {:>9.4g} {:>9.4g} {:>9.4g} {:>9.4g}", weight.name, weight.moments.minimum,
                       weight.moments.maximum, weight.moments.deviation, weight.kurtosis);
    for (const double error : weight.errors)
      out += error < 0 ? fmt::format(" {:>9}", "-") : fmt::format(" {:>7.3f} %", 100 * error);
    out += "\n";
  }
}

}  // namespace

std::string stats_text(const CalibrationStats& stats) {
  std::string out = fmt::format("{}, {}, mostly {}: {} layers\n{}: {} chunks of {} tokens\n", stats.model,
                                stats.architecture, stats.file_type, stats.shape.layers, stats.text,
                                stats.chunks, stats.chunk_size);
  out = printable(out);
  append_taps(stats, out);
  append_heads(stats, out);
  append_weights(stats, out);
  return out;
}

}  // namespace stonechat
