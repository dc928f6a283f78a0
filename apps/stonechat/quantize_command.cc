// `stonechat quantize`: a model with its matrices in 8 bits or less.
#include <algorithm>
#include <charconv>
#include <memory>
#include <set>

#include "base/error.h"
#include "commands.h"
#include "model_argument.h"
#include "quant/plans.h"
#include "quant/schemes.h"
#include "rewrite_file.h"

namespace stonechat {
namespace {

struct QuantizeOptions {
  std::string in;
  std::string out;
  std::string type;
  std::string range;
  bool dry_run = false;
  uint32_t threads = 0;
};

// Rounding what was rounded before costs more than quantizing the original does.
void notice_quantized_input(const gguf::Reader& file) {
  std::set<std::string_view> types;
  for (const auto& tensor : file.tensors()) {
    if (info(tensor.type).block_elements > 1) types.insert(gguf::name(tensor.type));
  }
  if (types.empty()) return;
  fmt::print(stderr, "stonechat: {}: is quantized already ({}); the original would give a better result\n",
             file.path(), fmt::join(types, ", "));
}

// --range: "best" (0, see RewritePlan::range), or deviations.
double range_of(const std::string& text) {
  if (text.empty() || text == "best") return 0;
  double range = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), range);
  if (error != std::errc() || end != text.data() + text.size() || !(range >= 0.01) ||
      range > RewritePlan::kMostRange) {
    fail(ErrorKind::kUsage, "--range: expected 'best' or deviations from 0.01 to {}, got '{}'",
         RewritePlan::kMostRange, text);
  }
  return range;
}

void check_range_is_used(const QuantizeOptions& options, const RewritePlan& plan) {
  const bool used = std::any_of(plan.tensors.begin(), plan.tensors.end(),
                                [](const auto& entry) { return entry.type == gguf::TensorType::kQ8_M; });
  if (!options.range.empty() && !used)
    fail(ErrorKind::kUsage, "--range: only q8_m has a range, and no tensor becomes q8_m");
}

std::string scheme_names(std::string_view separator) {
  std::vector<std::string_view> names;
  for (const Scheme& scheme : schemes()) names.push_back(scheme.name);
  return fmt::format("{}", fmt::join(names, separator));
}

std::string scheme_table() {
  std::string text = "Schemes:";
  for (const Scheme& scheme : schemes()) {
    text += fmt::format(
        "\n  {}  one scale for each {}, {:.3f} bytes a weight in a row of 896\n        {}\n"
        "        from {}",
        scheme.name, scheme.scale, bytes_a_weight(scheme, 896), scheme.formula, scheme.source);
  }
  return text;
}

void quantize(const QuantizeOptions& options) {
  const double range = range_of(options.range);
  const gguf::Reader file(resolve_model(options.in));
  if (file.file().is_same_file_as(options.out)) {
    fail(ErrorKind::kUsage, "{}: the output is the input; expected another file", options.out);
  }
  RewritePlan plan = quantize_plan(file, find_scheme(options.type)->type);
  plan.range = range;
  check_range_is_used(options, plan);
  notice_quantized_input(file);
  if (options.dry_run) {
    print_plan(file, plan);
    return;
  }
  ThreadPool pool(options.threads != 0 ? options.threads : usable_processors());
  rewrite_file("quantize", file, plan, options.out, pool);
}

}  // namespace

void add_quantize_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("quantize", "Write a model with its matrices in 8 or 4 bits");
  auto options = std::make_shared<QuantizeOptions>();
  command->add_option("in", options->in, "A GGUF file, a catalog name, or hf:OWNER/REPO[/FILE]")->required();
  command->add_option("out", options->out, "The file to write")->required();
  command->add_option("--type", options->type, scheme_names(", "))
      ->check([](const std::string& name) {
        return find_scheme(name) != nullptr
                   ? std::string()
                   : fmt::format("expected one of {}, got '{}'", scheme_names(", "), name);
      })
      ->required();
  command->add_option(
      "--range", options->range,
      "q8_m: how many deviations the codes reach; best (default): what loses least, by tensor");
  command->add_flag("--dry-run", options->dry_run, "Say what would be written, and write nothing");
  command->add_option("-t,--threads", options->threads, "Threads (default: the processors that we may use)")
      ->check(CLI::Range(1U, 1024U));
  command->footer(scheme_table());
  command->callback([options] { quantize(*options); });
}

}  // namespace stonechat
