#include "base/thread_pool.h"
#include "bench/support.h"
#include "eval/machine_limits.h"

namespace stonechat {
namespace {

using Rate = benchmark::Counter;

// One meter for all tables, as each would take memory.
MachineLimits limits_now(const KernelTable& table) {
  static ThreadPool pool(1);
  static KernelTable measured = table;
  static LimitMeter meter(measured, pool);
  measured = table;  // the meter reads it anew each time
  return meter.measure();
}

}  // namespace

void register_for_tables(const std::string& name, const BenchmarkBody& body, bool with_scalar) {
  for (const KernelTable* table : compiled_kernel_tables()) {
    const std::string table_name = table->name;
    if (!is_supported(*table) || (table_name == "scalar" && !with_scalar)) continue;
    // Limits are of real time too.
    benchmark::RegisterBenchmark((table_name + "/" + name).c_str(), [=](benchmark::State& state) {
      body(state, kernels_up_to(table_name));
    })->UseRealTime();
  }
}

void report(benchmark::State& state, const KernelTable& table, const Cost& cost) {
  state.counters["GMAC/s"] = Rate(1e-9 * cost.all_macs(), Rate::kIsIterationInvariantRate);
  state.counters["GB/s"] = Rate(1e-9 * cost.bytes, Rate::kIsIterationInvariantRate);
  if (cost.attention_macs > 0) return;  // no limit is that of them
  // What an iteration takes at the limits, times iterations a second.
  const double seconds = bound(cost, limits_now(table)).seconds;
  state.counters["share"] = Rate(seconds, Rate::kIsIterationInvariantRate);
}

void report_values(benchmark::State& state, double values) {
  state.counters["GB/s"] = Rate(1e-9 * values * sizeof(float), Rate::kIsIterationInvariantRate);
}

}  // namespace stonechat

int main(int argc, char** argv) {
  stonechat::register_benchmarks();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  return benchmark::RunSpecifiedBenchmarks() > 0 ? 0 : 1;  // a filter that matches nothing is a mistake
}
