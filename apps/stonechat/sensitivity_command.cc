// `stonechat sensitivity`: what quantizing each tensor alone, each kind and each layer costs.
#include <algorithm>
#include <memory>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "commands.h"
#include "eval/sensitivity.h"
#include "interrupt.h"
#include "kernels/dispatch.h"
#include "loaded_model.h"
#include "model/packed_file.h"
#include "model_argument.h"
#include "output_file.h"
#include "progress.h"
#include "report/html_page.h"
#include "report/svg_chart.h"
#include "text_input.h"

namespace stonechat {
namespace {

struct SensitivityOptions {
  std::string model;
  std::string text;
  std::string scheme;
  std::string html;
  std::vector<std::string> by = {"kind", "layer", "tensor"};
  RunFlags run;
  WindowOptions windows;
  bool json = false;
};

std::vector<std::string> scheme_names() {
  std::vector<std::string> names;
  for (const Scheme& scheme : schemes()) names.emplace_back(scheme.name);
  return names;
}

size_t index_of_scheme(const std::string& name) {
  const std::vector<std::string> names = scheme_names();
  return static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

std::vector<SensitivityUnit> units_of(const SensitivityOptions& options) {
  std::vector<SensitivityUnit> units = {SensitivityUnit::kAll};
  for (const auto unit : {SensitivityUnit::kKind, SensitivityUnit::kLayer, SensitivityUnit::kTensor}) {
    if (std::find(options.by.begin(), options.by.end(), name(unit)) != options.by.end())
      units.push_back(unit);
  }
  return units;
}

// Those of one unit, the costliest first.
std::vector<SensitivityItem> ranked(const SensitivityReport& report, SensitivityUnit unit) {
  std::vector<SensitivityItem> items;
  std::copy_if(report.items.begin(), report.items.end(), std::back_inserter(items),
               [&](const SensitivityItem& item) { return item.unit == unit; });
  std::stable_sort(items.begin(), items.end(),
                   [](const auto& a, const auto& b) { return a.kl.mean > b.kl.mean; });
  return items;
}

double millions(uint64_t count) {
  return static_cast<double>(count) / 1e6;
}

std::string describe_run(const SensitivityOptions& options, const SensitivityReport& report) {
  return fmt::format("{} of the weights, activations exact; {} chunks of {} tokens, {} tokens scored",
                     options.scheme, report.windows, options.windows.window, report.scored_tokens);
}

void print_text(const SensitivityOptions& options, const SensitivityReport& report) {
  fmt::print("{}\n", describe_run(options, report));
  for (const SensitivityUnit unit : units_of(options)) {
    fmt::print("\n{:<28} {:>10} {:>12} {:>12} {:>10} {:>10}\n", name(unit), "weights", "mean KL", "+-",
               "same top", "rms error");
    for (const SensitivityItem& item : ranked(report, unit)) {
      const std::string error =
          item.relative_error < 0 ? "" : fmt::format("{:.3f} %", 100 * item.relative_error);
      fmt::print("{:<28} {:>8.2f} M {:>12.7f} {:>12.7f} {:>8.2f} % {:>10}\n", item.name,
                 millions(item.weights), item.kl.mean, item.kl.standard_error, 100 * item.same_top.mean,
                 error);
    }
  }
}

void print_json(const SensitivityOptions& options, const SensitivityReport& report) {
  OrderedJson json = {{"model", options.model},       {"scheme", options.scheme},
                      {"text", options.text},         {"window", options.windows.window},
                      {"windows", report.windows},    {"tokens", report.scored_tokens},
                      {"items", OrderedJson::array()}};
  for (const SensitivityItem& item : report.items) {
    json["items"].push_back(
        {{"unit", name(item.unit)},
         {"name", item.name},
         {"tensors", item.tensors},
         {"weights", item.weights},
         {"relative_error", item.relative_error < 0 ? OrderedJson() : OrderedJson(item.relative_error)},
         {"mean_kl", item.kl.mean},
         {"mean_kl_error", item.kl.standard_error},
         {"same_top", item.same_top.mean},
         {"same_top_error", item.same_top.standard_error}});
  }
  fmt::print("{}\n", dump_json(json, 2));
}

void write_html(const SensitivityOptions& options, const SensitivityReport& report,
                const std::string& model) {
  constexpr size_t kMostBars = 40;
  std::string page = page_begin(fmt::format("Sensitivity of {} to {}", model, options.scheme));
  page += fmt::format(
      "<p class=\"soft\">Mean KL divergence from the model as it is, in nats a token, when these weights "
      "alone are "
      "quantized: {}.</p>\n<div class=\"charts\">\n",
      html_text(describe_run(options, report)));
  for (const SensitivityUnit unit : units_of(options)) {
    std::vector<SensitivityItem> items = ranked(report, unit);
    std::string title = unit == SensitivityUnit::kAll ? "everything" : fmt::format("by {}", name(unit));
    if (items.size() > kMostBars) {
      title += fmt::format(", the {} costliest of {}", kMostBars, items.size());
      items.resize(kMostBars);
    }
    std::vector<Bar> bars;
    for (const SensitivityItem& item : items) {
      bars.push_back({item.name, item.kl.mean,
                      fmt::format("{}: {:.7f} +- {:.7f} nats, same top token {:.2f} %, {:.2f} M weights",
                                  item.name, item.kl.mean, item.kl.standard_error, 100 * item.same_top.mean,
                                  millions(item.weights))});
    }
    page += svg_bars(title, "mean KL, nats a token", bars);
  }
  page += "</div>\n" + page_end();
  write_text_file(options.html, page);
}

// Products of other formats round activations too: what isn't quantized here would not be exact.
void check_types(const gguf::Reader& file) {
  using gguf::TensorType;
  if (is_packed(file.metadata())) {
    fail(ErrorKind::kUsage,
         "{}: sensitivity: a packed file has no tensors; take the GGUF file that it was made from",
         file.path());
  }
  for (const auto& tensor : file.tensors()) {
    if (tensor.type == TensorType::kF32 || tensor.type == TensorType::kF16 ||
        tensor.type == TensorType::kBF16) {
      continue;
    }
    fail(
        ErrorKind::kUsage,
        "{}: sensitivity: tensor {}: expected F32, F16 or BF16, found {}; 'stonechat convert --to f32' makes "
        "it so",
        file.path(), tensor.name, gguf::name(tensor.type));
  }
}

void sensitivity(const SensitivityOptions& options) {
  const std::string text = read_text_file(options.text);  // first: a model takes long to load
  const std::string path = resolve_model(options.model);
  check_output(options.html, {path, options.text});
  check_types(gguf::Reader(path));
  ThreadPool pool(options.run.thread_count());
  LoadedModel model(path, pool, options.run);
  check_context(model.weights.config, options.windows.window);
  const std::vector<TokenId> tokens = model.tokenizer.encode(text, Tokenizer::SpecialTokens::kPlainText);
  const uint64_t windows = Windows(model.tokenizer, tokens, options.windows).count();
  catch_interrupts();
  const std::vector<WeightStats> stats = weight_stats(model.file, pool, {}, interrupted);
  const size_t scheme = index_of_scheme(options.scheme);
  std::vector<SensitivityItem> items = sensitivity_items(stats, scheme, units_of(options));
  if (items.empty())
    fail(ErrorKind::kUsage, "{}: no matrix has columns that blocks of {} fit", path, options.scheme);
  const SensitivityJob job{model.file,          model.weights, kernels(),        pool,
                           model.chosen.tuning, stats,         schemes()[scheme]};
  Progress progress("sensitivity", windows * items.size(), "runs");
  progress.update(0);
  const SensitivityReport report = measure_sensitivity(job, std::move(items), model.tokenizer, tokens,
                                                       options.windows, [&](uint64_t done, uint64_t) {
                                                         progress.update(done);
                                                         return interrupted();
                                                       });
  progress.finish();
  if (!options.html.empty()) {
    write_html(options, report, model.weights.config.name);
    if (!options.json) fmt::print("wrote {}\n", options.html);
  }
  if (options.json) {
    print_json(options, report);
  } else {
    print_text(options, report);
  }
  if (report.windows < report.wanted)
    fail(ErrorKind::kInterrupted, "interrupted: these are the first {} of {} chunks", report.windows,
         report.wanted);
}

}  // namespace

void add_sensitivity_command(Command& app) {
  Command* command = app.add_subcommand("sensitivity", "Measure what quantizing each tensor alone costs");
  auto options = std::make_shared<SensitivityOptions>();
  command->add_option("model", options->model, kGgufHelp)->required();
  command->add_option("--scheme", options->scheme, fmt::format("{}", fmt::join(scheme_names(), ", ")))
      ->check(OneOf{scheme_names()})
      ->required();
  command->add_option("--text", options->text, "The text to measure on")->required();
  command->add_option("--chunks", options->windows.max_windows, "Only this many chunks (default: all)");
  command->add_option("-c,--context", options->windows.window, "Tokens a chunk")
      ->check(Range(4U, 1U << 27))
      ->capture_default_str();
  command
      ->add_option("--by", options->by,
                   "kind, layer, tensor: what is quantized alone (default: each of them)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(OneOf{{"kind", "layer", "tensor"}});
  command->add_option("--html", options->html, "Write a page with bar plots to this file");
  options->run.add_threads(*command);
  options->run.add_no_tune(*command);
  command->add_flag("--json", options->json, "Print one JSON object");
  command->callback([options] { sensitivity(*options); });
}

}  // namespace stonechat
