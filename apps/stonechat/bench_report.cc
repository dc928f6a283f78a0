#include "bench_report.h"

#include <cmath>
#include <cstdio>

#include "base/cpu_features.h"
#include "base/error.h"
#include "base/json.h"
#include "bench_markdown.h"
#include "eval/statistics.h"
#include "kernels/dispatch.h"

namespace stonechat {
namespace {

void add_roofline_fields(const BenchResult& result, OrderedJson& json) {
  const Roofline& roofline = *result.roofline;
  const auto tokens = static_cast<double>(result.test.tokens());
  json["limit_integer_gmacs"] = roofline.limits.integer_gmacs;
  json["limit_float_gmacs"] = roofline.limits.float_gmacs;
  json["limit_read_gbs"] = roofline.limits.read_gbs;
  json["limit"] = name(roofline.limit);
  json["share"] = roofline.share;
  json["samples_share"] = roofline.shares;
  json["macs_per_token"] = roofline.cost.weight_macs() / tokens;
  json["attention_macs_per_token"] = roofline.cost.attention_macs / tokens;
  json["bytes_per_token"] = roofline.cost.bytes / tokens;
}

void add_profile_fields(const BenchResult& result, OrderedJson& json) {
  json["profile"] = OrderedJson::array();
  for (const auto& [step, totals] : result.profile_rows()) {
    json["profile"].push_back({{"step", step},
                               {"calls", totals.calls},
                               {"seconds", totals.seconds},
                               {"waiting_seconds", totals.waiting_seconds},
                               {"macs", totals.cost.all_macs()},
                               {"bytes", totals.cost.bytes}});
  }
}

void add_memory_fields(const MemoryFigures& figures, OrderedJson& json) {
  OrderedJson& memory = json["memory"];
  memory["samples"] = figures.use.samples;
  const auto add = [&](const char* name, const std::optional<MemorySeries>& series) {
    if (!series) return;
    memory["series"][name] = {{"minimum", series->minimum},
                              {"median", series->median},
                              {"p95", series->p95},
                              {"peak", series->peak}};
  };
  add("rss", figures.use.rss);
  add("pss", figures.use.pss);
  add("anonymous", figures.use.anonymous);
  add("file", figures.use.file);
  for (const MemoryPart part : memory_parts()) {
    const std::string key(name(part));
    if (figures.parts) memory["parts"][key] = (*figures.parts)[part];
    memory["predicted"]["parts"][key] = figures.predicted.parts[part];
  }
  memory["predicted"]["peak"] = figures.predicted.peak;
}

OrderedJson fields(const BenchResult& result) {
  const std::vector<double> speeds = result.tokens_per_second();
  const auto whole = [](const std::vector<double>& values) {
    std::vector<uint64_t> rounded;
    for (const double value : values) rounded.push_back(static_cast<uint64_t>(std::llround(value)));
    return rounded;
  };
  OrderedJson json = {
      {"build_commit", STONECHAT_VERSION},
      {"build_number", 0},
      {"cpu_info", cpu_name()},
      {"gpu_info", ""},
      {"backends", "CPU"},
      {"kernels", kernels().name},
      {"model_filename", result.model_filename},
      {"model_type", result.model_type},
      {"model_size", result.model_size},
      {"model_n_params", result.model_n_params},
      {"n_batch", result.n_batch},
      {"n_ubatch", result.n_ubatch},
      {"n_threads", result.n_threads},
      {"type_k", name(result.test.cache.keys)},
      {"type_v", name(result.test.cache.values)},
      {"n_prompt", result.test.prompt},
      {"n_gen", result.test.generate},
      {"n_depth", result.test.depth},
      {"n_parallel", result.test.parallel},
      {"test_time", result.test_time},
      {"avg_ns", static_cast<uint64_t>(std::llround(estimate(result.samples_ns).mean))},
      {"stddev_ns", static_cast<uint64_t>(std::llround(standard_deviation(result.samples_ns)))},
      {"avg_ts", estimate(speeds).mean},
      {"stddev_ts", standard_deviation(speeds)},
      {"samples_ns", whole(result.samples_ns)},
      {"samples_ts", speeds},
      {"cache_bytes", result.cache_bytes},
      {"peak_rss_bytes", result.peak_rss_bytes},
      {"tuned", result.tuned},
  };
  if (result.roofline) add_roofline_fields(result, json);
  if (result.profile) add_profile_fields(result, json);
  if (result.memory) add_memory_fields(*result.memory, json);
  return json;
}

class JsonReport : public BenchReport {
 public:
  void finish() override { print_line(is_empty() ? "[]" : "]"); }

 private:
  void put(const BenchResult& result, bool is_first) override {
    print_line((is_first ? "[\n" : ",\n") + dump_json(fields(result), 2));
  }
};

class JsonLinesReport : public BenchReport {
 public:
  void finish() override {}

 private:
  void put(const BenchResult& result, bool) override { print_line(dump_json(fields(result))); }
};

class CsvReport : public BenchReport {
 public:
  void finish() override {}

 private:
  void put(const BenchResult& result, bool is_first) override {
    std::string names;
    std::string values;
    const OrderedJson json = fields(result);
    for (const auto& [key, value] : json.items()) {
      if (value.is_array()) continue;
      names += (names.empty() ? "" : ",") + key;
      values += (values.empty() ? "" : ",") +
                quoted(value.is_string() ? value.get<std::string>() : dump_json(value));
    }
    if (is_first) print_line(names);
    print_line(values);
  }

  static std::string quoted(const std::string& text) {
    std::string result = "\"";
    for (const char character : text)
      result += character == '"' ? std::string("\"\"") : std::string(1, character);
    return result + "\"";
  }
};

}  // namespace

std::vector<double> BenchResult::tokens_per_second() const {
  std::vector<double> speeds;
  for (const double nanoseconds : samples_ns)
    speeds.push_back(1e9 * static_cast<double>(test.tokens()) / nanoseconds);
  return speeds;
}

std::vector<ProfileRow> BenchResult::profile_rows() const {
  std::vector<ProfileRow> rows;
  const auto repetitions = static_cast<double>(samples_ns.size());
  double other = 1e-9 * estimate(samples_ns).mean;
  for (size_t i = 0; i < kSteps; ++i) {
    const StepTotals& all = (*profile)[i];
    StepTotals one;
    one.calls = all.calls / samples_ns.size();
    one.seconds = all.seconds / repetitions;
    one.waiting_seconds = all.waiting_seconds / repetitions;
    one.cost = 1 / repetitions * all.cost;
    other -= one.seconds;
    if (one.calls > 0) rows.push_back({std::string(name(static_cast<Step>(i))), one});
  }
  StepTotals between;
  between.seconds = other;
  rows.push_back({"other", between});
  return rows;
}

void print_line(const std::string& text) {
  std::fputs((text + "\n").c_str(), stdout);
  std::fflush(stdout);
}

std::unique_ptr<BenchReport> BenchReport::create(const std::string& format) {
  if (format == "json") return std::make_unique<JsonReport>();
  if (format == "jsonl") return std::make_unique<JsonLinesReport>();
  if (format == "csv") return std::make_unique<CsvReport>();
  return make_markdown_report();
}

}  // namespace stonechat
