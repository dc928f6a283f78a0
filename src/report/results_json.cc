#include "report/results_json.h"

#include <cmath>

#include "base/error.h"
#include "base/json.h"

namespace stonechat {
namespace {

OrderedJson json_of(const Estimate& value) {
  return {{"mean", value.mean}, {"standard_error", value.standard_error}};
}
OrderedJson json_of(const Interval& ratio) {
  return {{"value", ratio.value}, {"low", ratio.low}, {"high", ratio.high}};
}
OrderedJson json_of(const ReportSpeed& speed);
OrderedJson json_of(const ReportMemory& memory);
OrderedJson json_of(const ReportText& text);
OrderedJson json_of(const ReportTask& task);
OrderedJson json_of(const ReportVariant& variant);

void put(OrderedJson& json, const char* key, const std::optional<double>& value) {
  if (value) json[key] = *value;
}
template <typename T>
void put(OrderedJson& json, const char* key, const std::optional<T>& value) {
  if (value) json[key] = json_of(*value);
}

template <typename T>
OrderedJson map_json(const std::map<std::string, T>& map) {
  OrderedJson json = OrderedJson::object();
  for (const auto& [key, value] : map) json[key] = value;
  return json;
}

template <typename T>
OrderedJson list_json(const std::vector<T>& list) {
  OrderedJson json = OrderedJson::array();
  for (const T& value : list) json.push_back(json_of(value));
  return json;
}

OrderedJson json_of(const ReportMachine& machine) {
  OrderedJson json = {
      {"cpu", machine.cpu},        {"threads", machine.threads}, {"memory_bytes", machine.memory_bytes},
      {"system", machine.system},  {"version", machine.version}, {"compiler", machine.compiler},
      {"kernels", machine.kernels}};
  put(json, "integer_gmacs", machine.integer_gmacs);
  put(json, "float_gmacs", machine.float_gmacs);
  put(json, "read_gbs", machine.read_gbs);
  return json;
}

OrderedJson json_of(const ReportSpeed& speed) {
  OrderedJson json = {{"test", speed.test},
                      {"prompt", speed.prompt},
                      {"generate", speed.generate},
                      {"samples", speed.samples},
                      {"rounds", speed.rounds}};
  put(json, "limit_share", speed.limit_share);
  if (!speed.limit.empty()) json["limit"] = speed.limit;
  return json;
}

OrderedJson json_of(const ReportMemory& memory) {
  OrderedJson json = {{"context", memory.context}, {"series", OrderedJson::object()}};
  for (const auto& [name, series] : memory.series) {
    json["series"][name] = {
        {"minimum", series.minimum}, {"median", series.median}, {"p95", series.p95}, {"peak", series.peak}};
  }
  json["parts"] = map_json(memory.parts);
  return json;
}

OrderedJson json_of(const ReportText& text) {
  OrderedJson json = {{"text", text.text},
                      {"window", text.window},
                      {"windows", text.windows},
                      {"tokens", text.tokens},
                      {"perplexity", json_of(text.perplexity)}};
  put(json, "log_perplexity_ratio", text.log_perplexity_ratio);
  put(json, "kl", text.kl);
  if (!text.kl_percentiles.empty()) json["kl_percentiles"] = map_json(text.kl_percentiles);
  put(json, "same_top", text.same_top);
  put(json, "top5_overlap", text.top5_overlap);
  put(json, "probability_difference", text.probability_difference);
  return json;
}

OrderedJson json_of(const ReportTask& task) {
  OrderedJson json = {{"task", task.task},
                      {"shots", task.shots},
                      {"questions", task.questions},
                      {"acc", json_of(task.acc)},
                      {"acc_norm", json_of(task.acc_norm)}};
  put(json, "acc_macro", task.acc_macro);
  put(json, "acc_norm_macro", task.acc_norm_macro);
  put(json, "kept", task.kept);
  put(json, "kept_norm", task.kept_norm);
  return json;
}

OrderedJson json_of(const ReportVariant& variant) {
  OrderedJson json = {{"name", variant.name},
                      {"weights", variant.weights},
                      {"cache", variant.cache},
                      {"weights_bytes", variant.weights_bytes},
                      {"reference", variant.is_reference},
                      {"speeds", list_json(variant.speeds)}};
  put(json, "memory", variant.memory);
  put(json, "text", variant.text);
  json["tasks"] = list_json(variant.tasks);
  return json;
}

// JSON has no spelling for infinity and NaN: a report with one would be lost when it is read.
void expect_finite(const OrderedJson& json, const std::string& path) {
  if (json.is_number_float() && !std::isfinite(json.get<double>()))
    fail(ErrorKind::kBadFile, "results: {}: expected a finite number, found {}", path, json.get<double>());
  if (!json.is_structured()) return;
  for (const auto& [key, value] : json.items()) expect_finite(value, path.empty() ? key : path + "." + key);
}

}  // namespace

std::string results_json(const ReportResults& results) {
  OrderedJson json = {{"schema", kResultsSchema},
                      {"started", results.started},
                      {"seconds", results.seconds},
                      {"command", results.command},
                      {"part_seconds", map_json(results.part_seconds)},
                      {"quick", results.quick},
                      {"machine", json_of(results.machine)},
                      {"model",
                       {{"argument", results.model.argument},
                        {"description", results.model.description},
                        {"parameters", results.model.parameters},
                        {"sha256", results.model.sha256}}},
                      {"variants", list_json(results.variants)},
                      {"missing", map_json(results.missing)}};
  expect_finite(json, "");
  return dump_json(json, 1) + "\n";
}

}  // namespace stonechat
