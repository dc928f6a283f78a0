// `stonechat quantize`: a model with its matrices in 8 bits or less.
#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "commands.h"
#include "model/tensor_plan.h"
#include "model/weight_formats.h"
#include "model_argument.h"
#include "output_file.h"
#include "plan_finder.h"
#include "quant/plans.h"
#include "quant/schemes.h"
#include "rewrite_file.h"
#include "run_flags.h"
#include "text_input.h"

namespace stonechat {
namespace {

struct QuantizeOptions {
  std::string in;
  std::string out;
  std::string type;
  std::string plan;
  std::vector<std::string> rules;  // PATTERN=TYPE
  std::string range;
  std::string better = "q8_0";
  std::string save_plan;
  PlanWishes wishes;
  std::vector<const CommandOption*> search_flags;  // that mean something to a search only
  bool dry_run = false;
  RunFlags run;  // its threads
};

// Rounding what was rounded before costs more than quantizing the original does.
void notice_quantized_input(const gguf::ModelSource& file) {
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

TypePlan type_plan(const QuantizeOptions& options) {
  TypePlan types;
  if (!options.plan.empty())
    types = TypePlan::parse(read_text_file(options.plan, TypePlan::kMostBytes), options.plan);
  if (!options.type.empty()) types.type = writable_type(options.type);
  for (const std::string& rule : options.rules) {
    const size_t equals = rule.rfind('=');
    const auto type = equals == std::string::npos ? std::nullopt : writable_type(rule.substr(equals + 1));
    if (!type || equals == 0) {
      fail(ErrorKind::kUsage, "--type-for: expected PATTERN=TYPE with a type of {}, got '{}'",
           writable_type_names(), rule);
    }
    types.rules.push_back({rule.substr(0, equals), *type});
  }
  if (!types.type && types.rules.empty())
    fail(ErrorKind::kUsage, "expected --type, --plan or --type-for; types are {}", writable_type_names());
  return types;
}

bool searches(const QuantizeOptions& options) {
  return options.wishes.target_kl > 0 || options.wishes.budget_mib > 0;
}

void check_search(const QuantizeOptions& options) {
  if (!searches(options)) {
    for (const CommandOption* flag : options.search_flags) {
      if (flag->count() != 0)
        fail(ErrorKind::kUsage, "{}: is for --target-kl and --budget-mib", flag->name());
    }
    return;
  }
  if (!options.plan.empty() || !options.rules.empty())
    fail(ErrorKind::kUsage, "--target-kl and --budget-mib choose types: leave out --plan and --type-for");
  if (options.type.empty() || options.wishes.text.empty())
    fail(ErrorKind::kUsage, "--target-kl and --budget-mib need --type and --text");
  if (options.type == options.better)
    fail(ErrorKind::kUsage, "--better: expected another type than --type, got '{}'", options.better);
  if (!options.range.empty()) fail(ErrorKind::kUsage, "--range: the search takes the best range");
}

TypePlan searched_plan(const QuantizeOptions& options, const gguf::ModelSource& source, ThreadPool& pool) {
  const auto* file = dynamic_cast<const gguf::Reader*>(&source);
  if (file == nullptr)
    fail(ErrorKind::kUsage, "{}: --target-kl and --budget-mib run the model: convert it to a GGUF file first",
         source.path());
  PlanWishes wishes = options.wishes;
  wishes.plain = *writable_type(options.type);
  wishes.better = *writable_type(options.better);
  return find_plan(*file, wishes, pool);
}

// Tensors that are multiplied with as one matrix need one format in memory.
void notice_mixed_stacks(const gguf::ModelSource& file, const RewritePlan& plan) {
  std::map<std::string, gguf::TensorType> type_of;
  for (const auto& entry : plan.tensors) type_of[entry.name] = entry.type;
  std::vector<StackPlan> stacks;
  try {
    stacks = all_stack_plans(ModelConfig::from(file), type_of.contains("output.weight"));
  } catch (const Error&) {
    return;  // not a model that we could run: then nothing is stacked either
  }
  for (const StackPlan& stack : stacks) {
    std::vector<gguf::TensorType> types;
    std::vector<std::string> parts;
    for (const StackPart& part : stack.parts) {
      const auto found = type_of.find(part.tensor);
      if (found == type_of.end()) continue;
      types.push_back(found->second);
      parts.push_back(fmt::format("{} {}", part.tensor, gguf::name(found->second)));
    }
    if (types.empty()) continue;
    const WeightFormat format = common_format(types);
    if (std::all_of(types.begin(), types.end(), [&](auto type) { return is_stored_as(type, format); }))
      continue;
    fmt::print(stderr, "stonechat: {} are multiplied with as one matrix: a run holds them as {}\n",
               fmt::join(parts, ", "), gguf::name(tensor_type(format)));
  }
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

// Before any work: what the end of it would fail with.
void check_outputs(const QuantizeOptions& options, const gguf::ModelSource& file) {
  for (const std::string& path : {options.out, options.save_plan}) {
    if (file.reads_from(path))
      fail(ErrorKind::kUsage, "{}: the output is the input; expected another file", path);
  }
  if (!options.save_plan.empty() && options.save_plan == options.out)
    fail(ErrorKind::kUsage, "--save-plan: {} is the model to be written; expected another file", options.out);
  check_output(options.save_plan, {options.wishes.text, options.out});
  if (!options.dry_run) check_output(options.out, {options.wishes.text, options.plan});
}

void quantize(const QuantizeOptions& options) {
  const double range = range_of(options.range);
  check_search(options);
  TypePlan types = type_plan(options);
  const auto source = open_model_source(options.in);
  const gguf::ModelSource& file = *source;
  check_outputs(options, file);
  ThreadPool pool(options.run.thread_count());
  if (searches(options)) types = searched_plan(options, file, pool);
  RewritePlan plan = quantize_plan(file, types);
  plan.range = range;
  check_range_is_used(options, plan);
  notice_quantized_input(file);
  notice_mixed_stacks(file, plan);
  if (!options.save_plan.empty()) write_text_file(options.save_plan, types.to_json());
  if (options.dry_run) {
    print_plan(file, plan);
    return;
  }
  rewrite_file("quantize", file, plan, options.out, pool);
}

}  // namespace

void add_quantize_command(Command& app) {
  Command* command = app.add_subcommand("quantize", "Write a model with its matrices in 8 or 4 bits");
  auto options = std::make_shared<QuantizeOptions>();
  command->add_option("in", options->in, kModelSourceHelp)->required();
  command->add_option("out", options->out, "The file to write")->required();
  const auto check_type = [](const std::string& name) {
    return writable_type(name) ? std::string()
                               : fmt::format("expected one of {}, got '{}'", writable_type_names(), name);
  };
  command->add_option("--type", options->type, fmt::format("Of all matrices: {}", writable_type_names()))
      ->check(check_type);
  command->add_option("--plan", options->plan, "A JSON file of types by tensor (docs/quantization.md)");
  command
      ->add_option(
          "--type-for", options->rules,
          "PATTERN=TYPE: of matrices whose names fit, * being any text; may be repeated, the last counts")
      ->allow_extra_args(false);
  command->add_option(
      "--range", options->range,
      "q8_m: how many deviations the codes reach; best (default): what loses least, by tensor");
  PlanWishes& wishes = options->wishes;
  command
      ->add_option("--target-kl", wishes.target_kl,
                   "Give as few matrices the --better type as keep the mean KL divergence, in nats a token")
      ->check(Range(1e-6, 100.0));
  command->add_option("--budget-mib", wishes.budget_mib, "Give as many as a file of this size holds")
      ->check(Range(1e-3, 1e7));
  options->search_flags = {
      command
          ->add_option("--better", options->better,
                       "The type of those that --type loses too much of (default: q8_0)")
          ->check(check_type),
      command->add_option("--text", wishes.text, "A text to measure the divergence on"),
      command->add_option("--context", wishes.window, "Tokens of a window of it (default: 512)")
          ->check(Range(4U, 1U << 16)),
      command->add_option("--windows", wishes.windows, "Windows of it (default: 2)")
          ->check(Range(1U, 1U << 16)),
  };
  command->add_option("--save-plan", options->save_plan, "Write the types by tensor to this JSON file");
  command->add_flag("--dry-run", options->dry_run, "Say what would be written, and write nothing");
  options->run.add_threads(*command);
  command->footer(scheme_table());
  command->callback([options] { quantize(*options); });
}

}  // namespace stonechat
