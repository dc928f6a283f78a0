// The row-wise steps of each table, for widths of Qwen2.5-0.5B: norm, preparing activations, rotation, SiLU,
// conversion to binary16. Their data stays in caches, as it does in a model.
#include <utility>

#include "base/aligned_buffer.h"
#include "bench/inputs.h"
#include "bench/support.h"

namespace stonechat {
namespace {

constexpr uint32_t kWidth = 896;
constexpr uint32_t kMlpWidth = 4864;
constexpr uint32_t kHeads = 16;  // 14 of queries, 2 of keys
constexpr uint32_t kHeadDim = 64;

void norm(benchmark::State& state, const KernelTable& table) {
  const std::vector<float> x = some_floats(kWidth);
  std::vector<float> out(kWidth);
  for (auto _ : state) {
    table.vector->rms_norm(x.data(), x.data(), 1e-6F, kWidth, out.data());
    benchmark::DoNotOptimize(out.data());
  }
  report_values(state, 3.0 * kWidth);
}

void prepare(benchmark::State& state, const KernelTable& table, WeightFormat format, uint32_t cols,
             uint32_t tokens) {
  const LinearKernels& linear = *table.linear[format];
  const std::vector<float> x = some_floats(size_t{tokens} * cols);
  AlignedBuffer prepared(linear.prepared_bytes(tokens, cols));
  const PrepareJob job = {x.data(), cols, cols, 0, cols, 0, tokens, prepared.data()};
  for (auto _ : state) linear.prepare(&job);
  report_values(state,
                static_cast<double>(tokens) * cols + static_cast<double>(prepared.bytes()) / sizeof(float));
}

void rope(benchmark::State& state, const KernelTable& table) {
  std::vector<float> x = some_floats(size_t{kHeads} * kHeadDim);
  const std::vector<float> cosine(kHeadDim / 2, 0.6F);
  const std::vector<float> sine(kHeadDim / 2, 0.8F);
  for (auto _ : state) {
    table.vector->rope(x.data(), kHeads, kHeadDim, cosine.data(), sine.data());
    benchmark::DoNotOptimize(x.data());
  }
  report_values(state, 2.0 * kHeads * kHeadDim);
}

void silu(benchmark::State& state, const KernelTable& table) {
  const std::vector<float> gate_up = some_floats(size_t{2} * kMlpWidth);
  std::vector<float> out(kMlpWidth);
  for (auto _ : state) {
    table.vector->silu_multiply(gate_up.data(), kMlpWidth, out.data());
    benchmark::DoNotOptimize(out.data());
  }
  report_values(state, 3.0 * kMlpWidth);
}

void to_half(benchmark::State& state, const KernelTable& table) {
  const std::vector<float> x = some_floats(size_t{4} * kHeadDim);
  std::vector<uint16_t> out(x.size());
  for (auto _ : state) {
    table.vector->to_half(x.data(), static_cast<uint32_t>(x.size()), out.data());
    benchmark::DoNotOptimize(out.data());
  }
  report_values(state, 1.5 * static_cast<double>(x.size()));
}

}  // namespace

void register_benchmarks() {
  register_for_tables("norm", norm);
  register_for_tables("rope", rope);
  register_for_tables("silu", silu);
  register_for_tables("to_half", to_half);
  for (const auto& [name, format] : {std::pair{"Q8_0", kWeightQ8_0}, {"F32", kWeightF32}}) {
    for (const uint32_t cols : {kWidth, kMlpWidth}) {
      for (const uint32_t tokens : {1U, 96U}) {
        register_for_tables(
            "prepare/" + std::string(name) + "/" + std::to_string(cols) + "/tokens:" + std::to_string(tokens),
            [=, format = format](benchmark::State& state, const KernelTable& table) {
              prepare(state, table, format, cols, tokens);
            });
      }
    }
  }
}

}  // namespace stonechat
