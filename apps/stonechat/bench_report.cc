#include "bench_report.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/cpu_features.h"
#include "base/error.h"
#include "eval/statistics.h"
#include "kernels/dispatch.h"

namespace stonechat {
namespace {

using Json = nlohmann::ordered_json;

std::vector<double> tokens_per_second(const BenchResult& result) {
  std::vector<double> speeds;
  for (const double nanoseconds : result.samples_ns) {
    speeds.push_back(1e9 * (result.n_prompt + result.n_gen) / nanoseconds);
  }
  return speeds;
}

Json fields(const BenchResult& result) {
  const std::vector<double> speeds = tokens_per_second(result);
  const auto whole = [](const std::vector<double>& values) {
    std::vector<uint64_t> rounded;
    for (const double value : values) rounded.push_back(static_cast<uint64_t>(std::llround(value)));
    return rounded;
  };
  return {
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
      {"type_k", "f16"},
      {"type_v", "f16"},
      {"n_prompt", result.n_prompt},
      {"n_gen", result.n_gen},
      {"n_depth", result.n_depth},
      {"test_time", result.test_time},
      {"avg_ns", static_cast<uint64_t>(std::llround(estimate(result.samples_ns).mean))},
      {"stddev_ns", static_cast<uint64_t>(std::llround(standard_deviation(result.samples_ns)))},
      {"avg_ts", estimate(speeds).mean},
      {"stddev_ts", standard_deviation(speeds)},
      {"samples_ns", whole(result.samples_ns)},
      {"samples_ts", speeds},
      {"peak_rss_bytes", result.peak_rss_bytes},
  };
}

void print_line(const std::string& text) {
  std::fputs((text + "\n").c_str(), stdout);
  std::fflush(stdout);
}

class JsonReport : public BenchReport {
 public:
  void add(const BenchResult& result) override {
    std::string text = fields(result).dump(2);
    print_line((first_ ? "[\n" : ",\n") + text);
    first_ = false;
  }
  void finish() override { print_line(first_ ? "[]" : "]"); }

 private:
  bool first_ = true;
};

class JsonLinesReport : public BenchReport {
 public:
  void add(const BenchResult& result) override { print_line(fields(result).dump()); }
  void finish() override {}
};

class CsvReport : public BenchReport {
 public:
  void add(const BenchResult& result) override {
    std::string names;
    std::string values;
    const Json json = fields(result);
    for (const auto& [key, value] : json.items()) {
      if (value.is_array()) continue;
      names += (names.empty() ? "" : ",") + key;
      values +=
          (values.empty() ? "" : ",") + quoted(value.is_string() ? value.get<std::string>() : value.dump());
    }
    if (first_) print_line(names);
    first_ = false;
    print_line(values);
  }
  void finish() override {}

 private:
  static std::string quoted(const std::string& text) {
    std::string result = "\"";
    for (const char character : text)
      result += character == '"' ? std::string("\"\"") : std::string(1, character);
    return result + "\"";
  }
  bool first_ = true;
};

class MarkdownReport : public BenchReport {
 public:
  void add(const BenchResult& result) override {
    if (first_) {
      print_line(row("model", "size", "params", "backend", "threads", "test", "t/s"));
      print_line(
          "| ------------------------------ | ---------: | ---------: | ---------- | ------: | "
          "--------------: | -------------------: |");
    }
    first_ = false;
    const std::vector<double> speeds = tokens_per_second(result);
    print_line(row(result.model_type,
                   fmt::format("{:.2f} MiB", static_cast<double>(result.model_size) / (1 << 20)),
                   fmt::format("{:.2f} M", static_cast<double>(result.model_n_params) / 1e6), "CPU",
                   std::to_string(result.n_threads), test_name(result),
                   fmt::format("{:.2f} \u00b1 {:.2f}", estimate(speeds).mean, standard_deviation(speeds))));
  }
  void finish() override { print_line(fmt::format("\nbuild: {} ({})", STONECHAT_VERSION, kernels().name)); }

 private:
  static std::string row(const std::string& model, const std::string& size, const std::string& parameters,
                         const std::string& backend, const std::string& threads, const std::string& test,
                         const std::string& speed) {
    return fmt::format("| {:<30} | {:>10} | {:>10} | {:<10} | {:>7} | {:>15} | {:>20} |", model, size,
                       parameters, backend, threads, test, speed);
  }
  static std::string test_name(const BenchResult& result) {
    std::string name = result.n_gen == 0      ? fmt::format("pp{}", result.n_prompt)
                       : result.n_prompt == 0 ? fmt::format("tg{}", result.n_gen)
                                              : fmt::format("pp{}+tg{}", result.n_prompt, result.n_gen);
    return result.n_depth == 0 ? name : fmt::format("{} @ d{}", name, result.n_depth);
  }
  bool first_ = true;
};

}  // namespace

std::unique_ptr<BenchReport> BenchReport::create(const std::string& format) {
  if (format == "json") return std::make_unique<JsonReport>();
  if (format == "jsonl") return std::make_unique<JsonLinesReport>();
  if (format == "csv") return std::make_unique<CsvReport>();
  return std::make_unique<MarkdownReport>();
}

}  // namespace stonechat
