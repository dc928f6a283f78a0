// Each table's products, for shapes of Qwen2.5-0.5B: of one token, as in decoding, up to a batch of a prompt.
#include <cstring>
#include <random>
#include <string>

#include "base/aligned_buffer.h"
#include "base/checked.h"
#include "bench/inputs.h"
#include "bench/support.h"
#include "eval/machine_limits.h"

namespace stonechat {
namespace {

constexpr const char* kFormatNames[kWeightFormats] = {"F32", "F16", "BF16", "Q8_0", "Q8Row", "Q4_0"};

// Weights come from memory, as in a model: each iteration takes another one of so many copies that no cache
// keeps them.
struct Copies {
  std::string name;
  size_t pack_bytes = 0;
  size_t count = 0;
  AlignedBuffer data;
};

// Those of the last call are kept, as a benchmark is run several times until it takes long enough.
const Copies& copies_of(const KernelTable& table, WeightFormat format, uint32_t rows, uint32_t cols) {
  static Copies copies;
  const std::string name =
      std::string(table.name) + kFormatNames[format] + std::to_string(rows) + "x" + std::to_string(cols);
  if (copies.name == name) return copies;
  copies = {};
  const AlignedBuffer pack = some_pack(*table.linear[format], format, rows, cols);
  copies.name = name;
  copies.pack_bytes = pack.bytes();
  copies.count = ceil_div(size_beyond_caches(), pack.bytes());
  copies.data = AlignedBuffer(copies.count * pack.bytes());
  for (size_t i = 0; i < copies.count; ++i)
    std::memcpy(copies.data.data() + i * pack.bytes(), pack.data(), pack.bytes());
  return copies;
}

void product(benchmark::State& state, const KernelTable& table, WeightFormat format, uint32_t rows,
             uint32_t cols, uint32_t tokens) {
  const LinearKernels& linear = *table.linear[format];
  const Copies& weights = copies_of(table, format, rows, cols);
  const std::vector<float> x = some_floats(size_t{tokens} * cols);
  std::vector<float> out(size_t{tokens} * rows);
  AlignedBuffer prepared(linear.prepared_bytes(tokens, cols));
  const PrepareJob preparation = {x.data(), cols, cols, 0, cols, 0, tokens, prepared.data()};
  linear.prepare(&preparation);
  LinearJob job = {nullptr, prepared.data(), cols, 0, rows, 0, tokens, nullptr, out.data(), rows, false};
  size_t next = 0;
  for (auto _ : state) {
    job.weights = weights.data.data() + next * weights.pack_bytes;
    next = (next + 1) % weights.count;
    linear.multiply(&job);
  }
  Cost cost;
  (format >= kWeightQ8_0 ? cost.integer_macs : cost.float_macs) = static_cast<double>(rows) * cols * tokens;
  cost.bytes = static_cast<double>(weights.pack_bytes);
  report(state, table, cost);
}

// int8 weights with one scale times FP32 activations, which is what Q8_0 products replace.
void tensor_scale_product(benchmark::State& state, const KernelTable& table, uint32_t rows, uint32_t cols) {
  std::mt19937 random(1);
  std::vector<int8_t> codes(size_t{rows} * cols);
  for (int8_t& code : codes) code = static_cast<int8_t>(static_cast<int>(random() % 255) - 127);
  const std::vector<float> x(cols, 0.5F);
  std::vector<float> y(rows);
  const TensorScaleJob job = {codes.data(), 0.01F, x.data(), y.data(), cols, 0, rows};
  for (auto _ : state) table.tensor_scale->gemv_f32_f32_q8t(&job);
  Cost cost;
  cost.float_macs = static_cast<double>(rows) * cols;
  cost.bytes = static_cast<double>(codes.size());
  report(state, table, cost);
}

}  // namespace

void register_benchmarks() {
  struct Shape {
    uint32_t rows;
    uint32_t cols;
  };
  for (const Shape shape : {Shape{1152, 896}, Shape{9728, 896}, Shape{896, 4864}}) {
    const auto body = [=](benchmark::State& state, const KernelTable& table) {
      tensor_scale_product(state, table, shape.rows, shape.cols);
    };
    register_for_tables("gemv_f32_f32_q8t/" + std::to_string(shape.cols) + "->" + std::to_string(shape.rows),
                        body, /*with_scalar=*/true);
  }
  for (int format = 0; format < kWeightFormats; ++format) {
    for (const Shape shape : {Shape{1152, 896}, Shape{896, 896}, Shape{9728, 896}, Shape{896, 4864}}) {
      for (const uint32_t tokens : {1U, 2U, 4U, 8U, 16U, 96U, 512U}) {
        const std::string name = std::string(kFormatNames[format]) + "/" + std::to_string(shape.cols) + "->" +
                                 std::to_string(shape.rows) + "/tokens:" + std::to_string(tokens);
        const auto body = [=](benchmark::State& state, const KernelTable& table) {
          product(state, table, static_cast<WeightFormat>(format), shape.rows, shape.cols, tokens);
        };
        // The plain table needs seconds for what the others do in milliseconds.
        register_for_tables(name, body, /*with_scalar=*/tokens <= 4);
      }
    }
  }
}

}  // namespace stonechat
