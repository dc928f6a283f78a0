#include <charconv>

#include "base/json.h"
#include "stats_report.h"

namespace stonechat {
namespace {

// The double whose shortest spelling is that of the float, so that 0.1F is printed as 0.1.
double spelled(float value) {
  char text[32];
  const char* end = std::to_chars(text, text + sizeof text, value).ptr;
  double result = 0;
  std::from_chars(text, end, result);
  return result;
}

OrderedJson list(const std::vector<float>& values) {
  OrderedJson result = OrderedJson::array();
  for (const float value : values) result.push_back(spelled(value));
  return result;
}

OrderedJson summary_json(const ActivationSummary& summary) {
  return {{"min", spelled(summary.minimum)},  {"max", spelled(summary.maximum)},
          {"mean", spelled(summary.mean)},    {"deviation", spelled(summary.deviation)},
          {"p99", spelled(summary.p99)},      {"p99_9", spelled(summary.p99_9)},
          {"p99_99", spelled(summary.p99_99)}};
}

OrderedJson tap_json(const TapStats& tap) {
  OrderedJson json = {{"name", tap.place.name()}};
  if (is_of_layer(tap.place.tap)) json["layer"] = tap.place.layer;
  json["kind"] = name(tap.place.tap);
  json.update(summary_json(tap.summary));
  json["median_channel"] = spelled(tap.median_channel());
  json["outlier_channels"] = tap.outliers();
  json["heads"] = OrderedJson::array();
  for (const ActivationSummary& head : tap.heads) json["heads"].push_back(summary_json(head));
  json["channels"] = {{"min", list(tap.minima)},
                      {"max", list(tap.maxima)},
                      {"mean", list(tap.means)},
                      {"mean_square", list(tap.mean_squares)}};
  return json;
}

OrderedJson weight_json(const WeightStats& weight, const std::vector<std::string>& schemes) {
  const auto number = [](double value) { return spelled(static_cast<float>(value)); };
  OrderedJson json = {{"name", weight.name},
                      {"rows", weight.rows},
                      {"cols", weight.cols},
                      {"min", number(weight.moments.minimum)},
                      {"max", number(weight.moments.maximum)},
                      {"mean", number(weight.moments.mean)},
                      {"deviation", number(weight.moments.deviation)},
                      {"kurtosis", number(weight.kurtosis)},
                      {"errors", OrderedJson::object()}};
  for (size_t i = 0; i < schemes.size(); ++i)
    json["errors"][schemes[i]] = weight.errors[i] < 0 ? OrderedJson() : OrderedJson(number(weight.errors[i]));
  return json;
}

}  // namespace

std::string stats_json(const CalibrationStats& stats) {
  OrderedJson json = {{"model", stats.model},
                      {"architecture", stats.architecture},
                      {"file_type", stats.file_type},
                      {"layers", stats.shape.layers},
                      {"width", stats.shape.width},
                      {"heads", stats.shape.heads},
                      {"kv_heads", stats.shape.kv_heads},
                      {"head_dim", stats.shape.head_dim},
                      {"mlp_width", stats.shape.mlp_width},
                      {"vocabulary", stats.shape.vocabulary},
                      {"text", stats.text},
                      {"text_sha256", stats.text_sha256},
                      {"chunks", stats.chunks},
                      {"chunk_size", stats.chunk_size},
                      {"outlier_ratio", kOutlierRatio},
                      {"percentile_error", MagnitudeSketch::kRelativeError},
                      {"schemes", stats.schemes}};
  json["activations"] = OrderedJson::array();
  for (const TapStats& tap : stats.taps) json["activations"].push_back(tap_json(tap));
  json["key_biases"] = OrderedJson::array();
  for (const auto& bias : stats.key_biases) json["key_biases"].push_back(list(bias));
  json["weights"] = OrderedJson::array();
  for (const WeightStats& weight : stats.weights)
    json["weights"].push_back(weight_json(weight, stats.schemes));
  return dump_json(json) + "\n";
}

}  // namespace stonechat
