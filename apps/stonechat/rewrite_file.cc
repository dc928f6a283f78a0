#include "rewrite_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/memory_parts.h"
#include "interrupt.h"
#include "progress.h"

namespace stonechat {
namespace {

void print_sizes(const gguf::ModelSource& file, const RewritePlan& plan) {
  uint64_t before = 0;
  for (const auto& tensor : file.tensors()) before += tensor.bytes;
  fmt::print("{} tensors, {:.2f} M parameters, {:.2f} MiB to {:.2f} MiB\n", plan.tensors.size(),
             static_cast<double>(plan.parameters()) / 1e6, mebibytes(before), mebibytes(plan.tensor_bytes()));
}

}  // namespace

void print_plan(const gguf::ModelSource& file, const RewritePlan& plan) {
  struct Sum {
    uint64_t tensors = 0;
    uint64_t bytes = 0;
  };
  std::map<std::pair<std::string_view, std::string_view>, Sum> changes;
  for (const auto& entry : plan.tensors) {
    Sum& sum = changes[{gguf::name(entry.source->type), gguf::name(entry.type)}];
    ++sum.tensors;
    sum.bytes += gguf::TensorSpec{entry.name, entry.type, entry.source->shape}.bytes();
  }
  for (const auto& [types, sum] : changes) {
    fmt::print("{:>5} tensors {:>5} to {:<5} {:>9.2f} MiB\n", sum.tensors, types.first, types.second,
               mebibytes(sum.bytes));
  }
  print_sizes(file, plan);
  fmt::print("the file would have {} bytes\n", plan.predicted_bytes());
}

void rewrite_file(const std::string& label, const gguf::ModelSource& file, const RewritePlan& plan,
                  const std::string& out, ThreadPool& pool) {
  catch_interrupts();
  Progress progress(label, plan.bytes_to_read(), "bytes");
  const std::vector<TensorError> errors = rewrite(
      file, plan, out, pool, [&](uint64_t done, uint64_t) { progress.update(done); }, interrupted);
  progress.finish();
  const bool any_loss =
      std::any_of(errors.begin(), errors.end(), [](const auto& error) { return error.largest > 0; });
  const bool any_range =
      std::any_of(errors.begin(), errors.end(), [](const auto& error) { return error.range > 0; });
  if (any_loss) {
    fmt::print("{:<32} {:>12} {:>12} {:>10}{}\n", "tensor", "types", "error RMS", "largest",
               any_range ? "  deviations" : "");
  }
  for (const auto& error : errors) {
    if (error.largest == 0) continue;
    fmt::print("{:<32} {:>12} {:>10.4f} % {:>10.3g}{}\n", error.name,
               fmt::format("{} {}", gguf::name(error.from), gguf::name(error.to)), 100 * error.relative_rms,
               error.largest, error.range > 0 ? fmt::format("{:>12.2f}", error.range) : "");
  }
  print_sizes(file, plan);
  fmt::print("wrote {}\n", out);
}

}  // namespace stonechat
