#include "bench_markdown.h"

#include <fmt/format.h>

#include "base/memory_parts.h"
#include "eval/statistics.h"
#include "kernels/dispatch.h"

namespace stonechat {
namespace {

// "461 Gmac/s" of the limit that binds.
std::string limit_text(const Roofline& roofline) {
  switch (roofline.limit) {
    case Limit::kInteger:
      return fmt::format("integer {:.1f} Gmac/s", roofline.limits.integer_gmacs);
    case Limit::kFloat:
      return fmt::format("float {:.1f} Gmac/s", roofline.limits.float_gmacs);
    case Limit::kRead:
      break;
  }
  return fmt::format("read {:.1f} GB/s", roofline.limits.read_gbs);
}

// A rate in 10^9 a second, or nothing where there was nothing to do.
std::string giga_rate(double amount, double seconds) {
  return amount > 0 && seconds > 0 ? fmt::format("{:.1f}", 1e-9 * amount / seconds) : "";
}

// llama-bench's table. With --roofline two more columns, and a table of the limits at the end; with
// --profile a table after each test.
class MarkdownReport : public BenchReport {
 public:
  void finish() override {
    if (!limit_rows_.empty()) {
      print_line(
          "\n| model                          | test            | threads | Mmac/token | attention's | "
          "MB/token | integer Gmac/s | "
          "float Gmac/s | read GB/s |");
      print_line(
          "| ------------------------------ | --------------- | ------: | ---------: | ----------: | "
          "-------: | -------------: | "
          "-----------: | --------: |");
      for (const auto& line : limit_rows_) print_line(line);
    }
    print_line(fmt::format("\nbuild: {} ({})", STONECHAT_VERSION, kernels().name));
  }

 private:
  void put(const BenchResult& result, bool) override {
    if (begins_table_) print_head(result);
    begins_table_ = false;
    const std::vector<double> speeds = result.tokens_per_second();
    std::string line =
        row(result.model_type, fmt::format("{:.2f} MiB", mebibytes(result.model_size)),
            fmt::format("{:.2f} M", static_cast<double>(result.model_n_params) / 1e6), "CPU",
            std::to_string(result.n_threads), result.test_name,
            fmt::format("{:.2f} \u00b1 {:.2f}", estimate(speeds).mean, standard_deviation(speeds)));
    if (result.roofline) {
      line += fmt::format(" {:>22} | {:>7} |", limit_text(*result.roofline), percent(result.roofline->share));
      limit_rows_.push_back(limit_row(result));
    }
    print_line(line);
    if (result.profile) print_profile(result);
    if (result.memory) print_memory(*result.memory);
  }

  static std::string row(const std::string& model, const std::string& size, const std::string& parameters,
                         const std::string& backend, const std::string& threads, const std::string& test,
                         const std::string& speed) {
    return fmt::format("| {:<30} | {:>10} | {:>10} | {:<10} | {:>7} | {:>15} | {:>20} |", model, size,
                       parameters, backend, threads, test, speed);
  }

  static std::string percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

  static void print_head(const BenchResult& result) {
    std::string names = row("model", "size", "params", "backend", "threads", "test", "t/s");
    std::string rule =
        "| ------------------------------ | ---------: | ---------: | ---------- | ------: | "
        "--------------: | -------------------: |";
    if (result.roofline) {
      names += fmt::format(" {:>22} | {:>7} |", "limit", "share");
      rule += " ---------------------: | ------: |";
    }
    print_line(names);
    print_line(rule);
  }

  static std::string limit_row(const BenchResult& result) {
    const Roofline& roofline = *result.roofline;
    const auto tokens = static_cast<double>(result.test.tokens());
    return fmt::format(
        "| {:<30} | {:<15} | {:>7} | {:>10.1f} | {:>11.1f} | {:>8.1f} | {:>14.1f} | {:>12.1f} | {:>9.1f} |",
        result.model_type, result.test_name, result.n_threads, 1e-6 * roofline.cost.weight_macs() / tokens,
        1e-6 * roofline.cost.attention_macs / tokens, 1e-6 * roofline.cost.bytes / tokens,
        roofline.limits.integer_gmacs, roofline.limits.float_gmacs, roofline.limits.read_gbs);
  }

  void print_profile(const BenchResult& result) {
    const double total = 1e-9 * estimate(result.samples_ns).mean;
    print_line("\n| step          |    calls |        ms |   share | of it waiting |   Gmac/s |   GB/s |");
    print_line("| ------------- | -------: | --------: | ------: | ------------: | -------: | -----: |");
    StepTotals sum;
    const auto print_row = [&](const std::string& step, const StepTotals& totals) {
      print_line(fmt::format("| {:<13} | {:>8} | {:>9.2f} | {:>7} | {:>10.2f} ms | {:>8} | {:>6} |", step,
                             totals.calls, 1e3 * totals.seconds, percent(totals.seconds / total),
                             1e3 * totals.waiting_seconds, giga_rate(totals.cost.all_macs(), totals.seconds),
                             giga_rate(totals.cost.bytes, totals.seconds)));
    };
    for (const auto& [step, totals] : result.profile_rows()) {
      print_row(step, totals);
      sum.calls += totals.calls;
      sum.seconds += totals.seconds;
      sum.waiting_seconds += totals.waiting_seconds;
      sum.cost += totals.cost;
    }
    print_row("all", sum);
    print_line("");
    begins_table_ = true;
  }

  bool begins_table_ = true;
  std::vector<std::string> limit_rows_;
};

}  // namespace

std::string test_name(const BenchTest& test) {
  std::string name = test.generate == 0 ? fmt::format("pp{}", test.prompt)
                     : test.prompt == 0 ? fmt::format("tg{}", test.generate)
                                        : fmt::format("pp{}+tg{}", test.prompt, test.generate);
  if (test.parallel > 1) name += fmt::format(" x{}", test.parallel);
  if (test.depth != 0) name += fmt::format(" @ d{}", test.depth);
  if (test.cache != CacheFormats{})
    name +=
        fmt::format(", cache {}/{}", stonechat::name(test.cache.keys), stonechat::name(test.cache.values));
  return name;
}

std::unique_ptr<BenchReport> make_markdown_report() {
  return std::make_unique<MarkdownReport>();
}

}  // namespace stonechat
