// Multiply-adds per second of each table's products, on one thread, for shapes of Qwen2.5-0.5B.
//
//   cmake --preset release -DSTONECHAT_BENCH=ON && cmake --build --preset release --target kernels_bench
//   build/release/bin/kernels_bench --benchmark_min_time=0.3
#include <benchmark/benchmark.h>

#include <cstring>
#include <random>
#include <string>

#include "base/aligned_buffer.h"
#include "kernels/dispatch.h"

namespace stonechat {
namespace {

constexpr const char* kFormatNames[kWeightFormats] = {"F32", "F16", "BF16", "Q8_0"};
constexpr size_t kBytesOfBlock[kWeightFormats] = {128, 64, 64, 34};  // of 32 weights as stored

// A packed matrix of small weights; only Q8_0's scales need to be numbers of a sane size.
AlignedBuffer pack_random(const LinearKernels& linear, WeightFormat format, uint32_t rows, uint32_t cols) {
  std::mt19937 random(1);
  const size_t row_bytes = kBytesOfBlock[format] * cols / 32;
  const size_t tile_bytes = linear.tile_bytes(cols);
  AlignedBuffer pack((rows + linear.tile_rows - 1) / linear.tile_rows * tile_bytes);
  std::vector<uint8_t> stored(row_bytes * linear.tile_rows);
  for (uint32_t row = 0; row < rows; row += linear.tile_rows) {
    for (size_t i = 0; i + 4 <= stored.size(); i += 4) {
      const float value = static_cast<float>(random() % 2001) / 1000.0F - 1.0F;
      std::memcpy(&stored[i], &value, 4);
    }
    if (format == kWeightQ8_0) {
      for (size_t block = 0; block < stored.size(); block += 34) {
        const uint16_t scale = 0x2000;  // 2^-7
        std::memcpy(&stored[block], &scale, 2);
      }
    }
    linear.pack_tile(stored.data(), std::min(linear.tile_rows, rows - row), cols,
                     pack.data() + row / linear.tile_rows * tile_bytes);
  }
  return pack;
}

void product(benchmark::State& state, const std::string& table_name, WeightFormat format, uint32_t rows,
             uint32_t cols, uint32_t tokens) {
  const KernelTable table = kernels_up_to(table_name);
  const LinearKernels& linear = *table.linear[format];
  const AlignedBuffer pack = pack_random(linear, format, rows, cols);
  std::vector<float> x(size_t{tokens} * cols, 0.5F);
  std::vector<float> out(size_t{tokens} * rows);
  AlignedBuffer prepared(linear.prepared_bytes(tokens, cols));
  const PrepareJob preparation = {x.data(), cols, cols, 0, cols, 0, tokens, prepared.data()};
  linear.prepare(&preparation);
  const LinearJob job = {pack.data(), prepared.data(), cols,       0,    rows, 0,
                         tokens,      nullptr,         out.data(), rows, false};
  for (auto _ : state) linear.multiply(&job);
  const double products = static_cast<double>(rows) * cols * tokens;
  state.counters["GMAC/s"] =
      benchmark::Counter(products * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

// int8 weights with one scale times FP32 activations, which is what Q8_0 products replace.
void tensor_scale_product(benchmark::State& state, const std::string& table_name, uint32_t rows,
                          uint32_t cols) {
  const KernelTable table = kernels_up_to(table_name);
  std::mt19937 random(1);
  std::vector<int8_t> codes(size_t{rows} * cols);
  for (int8_t& code : codes) code = static_cast<int8_t>(static_cast<int>(random() % 255) - 127);
  const std::vector<float> x(cols, 0.5F);
  std::vector<float> y(rows);
  const TensorScaleJob job = {codes.data(), 0.01F, x.data(), y.data(), cols, 0, rows};
  for (auto _ : state) table.tensor_scale->gemv_f32_f32_q8t(&job);
  state.counters["GMAC/s"] = benchmark::Counter(static_cast<double>(rows) * cols * 1e-9,
                                                benchmark::Counter::kIsIterationInvariantRate);
}

void register_all() {
  struct Shape {
    uint32_t rows;
    uint32_t cols;
  };
  for (const KernelTable* table : compiled_kernel_tables()) {
    if (!is_supported(*table)) continue;
    for (const Shape shape : {Shape{1152, 896}, Shape{9728, 896}, Shape{896, 4864}}) {
      const std::string name = std::string(table->name) + "/gemv_f32_f32_q8t/" + std::to_string(shape.cols) +
                               "->" + std::to_string(shape.rows);
      benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
        tensor_scale_product(state, table->name, shape.rows, shape.cols);
      });
    }
    for (int format = 0; format < kWeightFormats; ++format) {
      for (const Shape shape : {Shape{1152, 896}, Shape{9728, 896}, Shape{896, 4864}}) {
        for (const uint32_t tokens : {1U, 96U}) {
          // The plain table needs seconds for what the others do in milliseconds.
          if (std::strcmp(table->name, "scalar") == 0 && (tokens > 1 && shape.rows > 2000)) continue;
          const std::string name = std::string(table->name) + "/" + kFormatNames[format] + "/" +
                                   std::to_string(shape.cols) + "->" + std::to_string(shape.rows) +
                                   "/tokens:" + std::to_string(tokens);
          benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
            product(state, table->name, static_cast<WeightFormat>(format), shape.rows, shape.cols, tokens);
          });
        }
      }
    }
  }
}

}  // namespace
}  // namespace stonechat

int main(int argc, char** argv) {
  stonechat::register_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
