// What the benchmark programs share. Each defines register_benchmarks(), main.cc calls it.
//
//   cmake --preset release -DSTONECHAT_BENCH=ON && cmake --build --preset release
//   build/release/bin/kernels_bench --benchmark_filter=avx512_vnni/Q8_0 --benchmark_min_time=0.3
//
// All but pool_bench run on one thread. "share" is that of what this machine's limits allow, measured right
// after each benchmark (eval/machine_limits.h).
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <string>

#include "kernels/dispatch.h"
#include "model/cost.h"

namespace stonechat {

void register_benchmarks();

using BenchmarkBody = std::function<void(benchmark::State&, const KernelTable&)>;
// For each table that this machine runs, "TABLE/name".
void register_for_tables(const std::string& name, const BenchmarkBody& body, bool with_scalar = true);

// Counters GMAC/s, GB/s and, unless there are attention_macs, share of a benchmark whose iteration had this
// to do.
void report(benchmark::State& state, const KernelTable& table, const Cost& cost);

// Counters of a benchmark without multiplications: GB/s of FP32 values read and written.
void report_values(benchmark::State& state, double values);

}  // namespace stonechat
