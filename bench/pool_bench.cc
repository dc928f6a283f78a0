// What the thread pool costs when the work itself is nothing: a decode step has more than a hundred runs.
//
//   cmake --preset release -DSTONECHAT_BENCH=ON && cmake --build --preset release --target pool_bench
//   build/release/bin/pool_bench
#include <benchmark/benchmark.h>

#include <chrono>
#include <thread>

#include "base/thread_pool.h"
#include "bench/support.h"

namespace stonechat {
namespace {

void empty_run(benchmark::State& state) {
  ThreadPool pool(static_cast<uint32_t>(state.range(0)));
  for (auto _ : state) pool.run([](uint32_t worker) { benchmark::DoNotOptimize(worker); });
}
BENCHMARK(empty_run)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime();

void empty_chunks(benchmark::State& state) {
  ThreadPool pool(static_cast<uint32_t>(state.range(0)));
  for (auto _ : state)
    pool.for_each_chunk(16, 1, [](uint64_t begin, uint64_t) { benchmark::DoNotOptimize(begin); });
}
BENCHMARK(empty_chunks)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime();

// Two threads share 16 items of `range(0)` microseconds: what comes on top of 8 of them.
void busy_chunks(benchmark::State& state) {
  ThreadPool pool(2);
  const auto time = std::chrono::microseconds(state.range(0));
  for (auto _ : state) {
    pool.for_each_chunk(16, 1, [&](uint64_t begin, uint64_t end) {
      const auto until = std::chrono::steady_clock::now() + static_cast<int64_t>(end - begin) * time;
      while (std::chrono::steady_clock::now() < until) {
      }
    });
  }
}
BENCHMARK(busy_chunks)->ArgName("us")->Arg(1)->Arg(10)->UseRealTime();

// After a rest in which the helpers have gone to sleep.
void run_after_sleep(benchmark::State& state) {
  ThreadPool pool(2);
  for (auto _ : state) {
    state.PauseTiming();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    state.ResumeTiming();
    pool.run([](uint32_t worker) { benchmark::DoNotOptimize(worker); });
  }
}
BENCHMARK(run_after_sleep)->Iterations(200)->UseRealTime();

}  // namespace

void register_benchmarks() {}  // BENCHMARK() has done it

}  // namespace stonechat
