// Runs the kernels of one table, each between two marks that tools/armcycles cuts its counts at. For
// processors that are emulated: there is no time here, and no benchmark library for them.
//
//   arm_cycles_driver TABLE [GROUP]
//
// Prints a line a section, in order: "NAME|SHAPE|TOKENS|UNIT|AMOUNT"; of one GROUP, or of all. NAME is the
// group's, or that of a step in the group "rows". Only what the table itself has is run, not what it takes
// from lower ones. Where a matrix is cut, rows are left out, whose number changes nothing.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/checked.h"
#include "base/error.h"
#include "bench/inputs.h"
#include "kernels/dispatch.h"

namespace stonechat {
namespace {

constexpr uint32_t kWidth = 896;
constexpr uint32_t kMlpWidth = 4864;
constexpr uint32_t kHeadDim = 64;
constexpr uint32_t kQueryHeads = 14;
constexpr uint32_t kKeyHeads = 2;
constexpr uint32_t kPromptTokens = 64;

struct Shape {
  uint32_t cols;
  uint32_t rows;      // of the model's matrix
  uint32_t run_rows;  // of those that are run
};
constexpr Shape kShapes[] = {
    {kWidth, 1152, 1152}, {kWidth, 9728, 9728}, {kMlpWidth, kWidth, kWidth}, {kWidth, 151936, 4096}};

// What tools/armcycles/tbprof.c looks for; it does nothing on a processor.
void mark() {
#if defined(__aarch64__)
  asm volatile("hint #100" ::: "memory");
#endif
}

void section(const std::string& group, const std::string& shape, uint32_t tokens, const char* unit,
             double amount, const std::function<void()>& body) {
  std::printf("%s|%s|%u|%s|%.0f\n", group.c_str(), shape.c_str(), tokens, unit, amount);
  std::fflush(stdout);
  mark();
  body();
  mark();
}

void products(const KernelTable& own, WeightFormat format, const char* name) {
  if (own.linear[format] == nullptr) return;
  const LinearKernels& linear = *own.linear[format];
  for (const Shape& shape : kShapes) {
    const AlignedBuffer pack = some_pack(linear, format, shape.run_rows, shape.cols);
    for (const uint32_t tokens : {kPromptTokens, 1U}) {
      const std::vector<float> x = some_floats(size_t{tokens} * shape.cols);
      std::vector<float> out(size_t{tokens} * shape.run_rows);
      AlignedBuffer prepared(linear.prepared_bytes(tokens, shape.cols));
      const PrepareJob preparation = {x.data(),   shape.cols, shape.cols, 0,
                                      shape.cols, 0,          tokens,     prepared.data()};
      linear.prepare(&preparation);
      const LinearJob job = {pack.data(), prepared.data(), shape.cols,     0,    shape.run_rows, 0, tokens,
                             nullptr,     out.data(),      shape.run_rows, false};
      section(name, std::to_string(shape.cols) + " to " + std::to_string(shape.rows), tokens, "multiply-adds",
              static_cast<double>(shape.run_rows) * shape.cols * tokens, [&] { linear.multiply(&job); });
    }
  }
}

void quantize(const LinearKernels* linear) {
  if (linear == nullptr) return;
  for (const uint32_t cols : {kWidth, kMlpWidth}) {
    const std::vector<float> x = some_floats(size_t{kPromptTokens} * cols);
    AlignedBuffer prepared(linear->prepared_bytes(kPromptTokens, cols));
    const PrepareJob job = {x.data(), cols, cols, 0, cols, 0, kPromptTokens, prepared.data()};
    section("quantize", std::to_string(cols), kPromptTokens, "values",
            static_cast<double>(cols) * kPromptTokens, [&] { linear->prepare(&job); });
  }
}

void attention(const KernelTable& whole, CacheFormat format) {
  constexpr uint32_t kGroup = kQueryHeads / kKeyHeads;
  for (const auto& [tokens, depth] : {std::pair{kPromptTokens, 0U}, {kPromptTokens, 1024U}, {1U, 1024U}}) {
    const size_t keys = round_up(depth + tokens, kKeyStep);
    const std::vector<uint8_t> cache = some_cached(format, keys * kHeadDim);
    const std::vector<float> scales(keys, 0.01F);
    const CachedHead head = {format, cache.data(), scales.data()};
    const size_t stride = size_t{kGroup} * kHeadDim;
    const std::vector<float> queries = some_floats(tokens * stride);
    std::vector<float> out(tokens * stride);
    AlignedBuffer scratch(whole.attention->scratch_bytes(kHeadDim));
    const AttentionJob job = {.queries = queries.data(),
                              .query_stride = stride,
                              .group_heads = kGroup,
                              .head_dim = kHeadDim,
                              .first_token = 0,
                              .end_token = tokens,
                              .first_position = depth,
                              .keys = head,
                              .values = head,
                              .shifts = nullptr,
                              .scale = 0.125F,
                              .out = out.data(),
                              .out_stride = stride,
                              .scratch = scratch.as<float>()};
    double visible = 0;  // keys, of all tokens
    for (uint32_t t = 0; t < tokens; ++t) visible += depth + t + 1;
    const std::string of = format == kCacheF16   ? ""
                           : format == kCacheQ16 ? ", 16-bit codes"
                                                 : ", 8-bit codes";
    section("attention", "7 heads of 64, depth " + std::to_string(depth) + of, tokens, "multiply-adds",
            visible * 2 * kHeadDim * kGroup, [&] { whole.attention->attend(&job); });
  }
}

void rows_and_elements(const VectorKernels* vector) {
  if (vector == nullptr) return;
  std::vector<float> x = some_floats(2 * kMlpWidth);
  const std::vector<float> weight = some_floats(kMlpWidth);
  std::vector<float> out(kMlpWidth);
  std::vector<uint16_t> halves(kMlpWidth);
  section("norm", std::to_string(kWidth), 1, "values", kWidth,
          [&] { vector->rms_norm(x.data(), weight.data(), 1e-6F, kWidth, out.data()); });
  section("silu x up", std::to_string(kMlpWidth), 1, "values", kMlpWidth,
          [&] { vector->silu_multiply(x.data(), kMlpWidth, out.data()); });
  section("rotate", "14 heads of 64", 1, "values", kWidth,
          [&] { vector->rope(x.data(), kQueryHeads, kHeadDim, weight.data(), weight.data() + kHeadDim); });
  section("to binary16", std::to_string(kMlpWidth), 1, "values", kMlpWidth,
          [&] { vector->to_half(x.data(), kMlpWidth, halves.data()); });
}

void tensor_scale(const TensorScaleKernels* kernels) {
  if (kernels == nullptr) return;
  for (const Shape& shape : kShapes) {
    std::vector<int8_t> codes(size_t{shape.run_rows} * shape.cols);
    std::minstd_rand random(3);
    for (int8_t& code : codes) code = static_cast<int8_t>(static_cast<int>(random() % 255) - 127);
    const std::vector<float> x = some_floats(shape.cols);
    std::vector<float> y(shape.run_rows);
    const TensorScaleJob job = {codes.data(), 0.01F, x.data(), y.data(), shape.cols, 0, shape.run_rows};
    section("Algorithm 1", std::to_string(shape.cols) + " to " + std::to_string(shape.rows), 1,
            "multiply-adds", static_cast<double>(shape.run_rows) * shape.cols,
            [&] { kernels->gemv_f32_f32_q8t(&job); });
  }
}

void run(const std::string& table, const std::string& group) {
  const KernelTable whole = kernels_up_to(table, "TABLE");
  const KernelTable& own = **std::ranges::find(compiled_kernel_tables(), table, &KernelTable::name);
  const std::pair<const char*, std::function<void()>> groups[] = {
      {"Q8_0", [&] { products(own, kWeightQ8_0, "Q8_0"); }},
      {"Q8Row", [&] { products(own, kWeightQ8Row, "Q8Row"); }},
      {"Q4_0", [&] { products(own, kWeightQ4_0, "Q4_0"); }},
      {"quantize", [&] { quantize(own.linear[kWeightQ8_0]); }},
      {"F32", [&] { products(own, kWeightF32, "F32"); }},
      {"F16", [&] { products(own, kWeightF16, "F16"); }},
      {"BF16", [&] { products(own, kWeightBf16, "BF16"); }},
      {"Algorithm 1", [&] { tensor_scale(own.tensor_scale); }},
      {"attention",
       [&] {
         if (own.attention == nullptr) return;
         for (const CacheFormat format : {kCacheF16, kCacheQ16, kCacheQ8}) attention(whole, format);
       }},
      {"rows", [&] { rows_and_elements(own.vector); }},
  };
  bool is_known = group.empty();
  for (const auto& [name, run_group] : groups) {
    if (!group.empty() && group != name) continue;
    is_known = true;
    run_group();
  }
  if (!is_known) fail(ErrorKind::kUsage, "GROUP: unknown kernels '{}'", group);
}

}  // namespace
}  // namespace stonechat

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: arm_cycles_driver TABLE [GROUP]\n");
    return 2;
  }
  try {
    stonechat::run(argv[1], argc > 2 ? argv[2] : "");
  } catch (const stonechat::Error& error) {
    std::fprintf(stderr, "arm_cycles_driver: %s\n", error.what());
    return 1;
  }
  return 0;
}
