#include "memory_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/json.h"
#include "base/process_memory.h"

namespace stonechat {
namespace {

void print_series(const char* what, const std::optional<MemorySeries>& series) {
  if (!series) {
    fmt::print(stderr, "{:<24} the system doesn't tell\n", what);
    return;
  }
  fmt::print(stderr, "{:<24} {:>9.1f} {:>9.1f} {:>9.1f} {:>9.1f}\n", what, megabytes(series->minimum),
             megabytes(series->median), megabytes(series->p95), megabytes(series->peak));
}

// One row for each part, with what `cells` shows of it.
template <typename Cells>
void print_parts(std::FILE* out, Cells&& cells) {
  const auto row = [&](std::string_view what, auto&& of) { fmt::print(out, "{:<24}{}\n", what, cells(of)); };
  const auto part_row = [&](std::string_view what, MemoryPart part) {
    row(what, [part](const MemoryByPart& parts) { return parts[part]; });
  };
  part_row("weights", MemoryPart::kWeights);
  part_row("KV cache", MemoryPart::kKvCache);
  row("runtime buffers", [](const MemoryByPart& parts) { return parts.runtime(); });
  for (const MemoryPart part : memory_parts()) {
    if (part != MemoryPart::kWeights && part != MemoryPart::kKvCache)
      part_row(fmt::format("  {}", name(part)), part);
  }
  row("all", [](const MemoryByPart& parts) { return parts.total(); });
}

std::string cell(uint64_t bytes) {
  return fmt::format(" {:>9.1f}", megabytes(bytes));
}

}  // namespace

void MemoryFlags::add(Command& command) {
  command.add_flag(
      "--memory", measure,
      "Measure memory every 20 ms while the model runs; show it on standard error, and by parts");
  command.add_flag("--dry-run", dry_run, "Predict the memory, by parts, without loading the model");
}

MemoryBaseline MemoryBaseline::now() {
  const ProcessMemory whole = ProcessMemoryReader().read();
  const auto parts = measure_memory_parts();
  MemoryBaseline baseline;
  baseline.other = (parts ? (*parts)[MemoryPart::kOther] : whole.rss) + absent_code_bytes();
  if (parts && whole.pss) baseline.shared = whole.rss - std::min(whole.rss, *whole.pss);
  return baseline;
}

MemoryPrediction predict(const MemoryEstimate& estimate, const MemoryBaseline& baseline) {
  MemoryPrediction prediction;
  prediction.parts = estimate.parts;
  prediction.parts[MemoryPart::kPacking] = 0;
  prediction.parts[MemoryPart::kOther] += baseline.other;
  prediction.peak = estimate.peak() + baseline.other + baseline.shared;
  return prediction;
}

void MemoryFigures::leave_out(uint64_t bytes) {
  const auto less = [bytes](uint64_t& value) { value -= std::min(value, bytes); };
  const auto less_all = [&](MemorySeries& series) {
    for (uint64_t* value : {&series.minimum, &series.median, &series.p95, &series.peak}) less(*value);
  };
  less_all(use.rss);
  if (use.pss) less_all(*use.pss);
  if (use.anonymous) less_all(*use.anonymous);
  if (parts) less((*parts)[MemoryPart::kOther]);
}

MemoryFigures measure_memory(MemorySampler& sampler, const MemoryPrediction& predicted) {
  MemoryFigures figures;
  figures.use = sampler.stop();
  figures.parts = measure_memory_parts();
  figures.predicted = predicted;
  return figures;
}

void print_memory(const MemoryFigures& figures) {
  fmt::print(stderr, "\n{:<24} {:>9} {:>9} {:>9} {:>9}\n", fmt::format("MB, {} samples", figures.use.samples),
             "minimum", "median", "95 %", "peak");
  print_series("resident (RSS)", figures.use.rss);
  print_series("proportional (PSS)", figures.use.pss);
  print_series("anonymous", figures.use.anonymous);
  print_series("of files", figures.use.file);
  fmt::print(stderr, "{:<24} {:>39.1f}\n", "RSS since the start", megabytes(peak_resident_bytes()));
  fmt::print(stderr, "{:<24} {:>39.1f}\n", "predicted", megabytes(figures.predicted.peak));
  fmt::print(stderr, "\n{:<24} {:>9} {:>9}\n", "MB, at the end", "measured", "predicted");
  print_parts(stderr, [&](auto&& of) {
    return (figures.parts ? cell(of(*figures.parts)) : fmt::format(" {:>9}", "-")) +
           cell(of(figures.predicted.parts));
  });
}

void print_prediction(const std::string& what, const MemoryPrediction& predicted, bool json) {
  if (json) {
    OrderedJson shown = {{"test", what}, {"peak", predicted.peak}};
    for (const MemoryPart part : memory_parts())
      shown["parts"][std::string(name(part))] = predicted.parts[part];
    fmt::print("{}\n", dump_json(shown));
    return;
  }
  fmt::print("{}, predicted memory:\n{:<24} {:>9}\n", printable(what), "", "MB");
  print_parts(stdout, [&](auto&& of) { return cell(of(predicted.parts)); });
  fmt::print("{:<24}{}\n", "peak (RSS)", cell(predicted.peak));
}

}  // namespace stonechat
