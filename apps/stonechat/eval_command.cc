// `stonechat eval ppl` and `stonechat eval kl`: what quantization costs, measured on a text.
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "cache_flags.h"
#include "commands.h"
#include "eval/perplexity.h"
#include "interrupt.h"
#include "kernels/dispatch.h"
#include "loaded_model.h"
#include "memory_report.h"
#include "model_argument.h"
#include "progress.h"
#include "text_input.h"

namespace stonechat {
namespace {

struct EvalOptions {
  std::string model;
  std::string against;
  std::string text;
  RunFlags run;
  WindowOptions windows;
  bool json = false;
  MemoryFlags memory;
};

std::vector<TokenId> tokens_of(const std::string& text, const Tokenizer& tokenizer) {
  return tokenizer.encode(text, Tokenizer::SpecialTokens::kPlainText);
}

WindowCallback show_progress(Progress& progress) {
  return [&progress](uint64_t done, uint64_t) {
    progress.update(done);
    return interrupted();
  };
}

uint64_t window_count(const EvalOptions& options, size_t tokens) {
  const uint64_t all = tokens / options.windows.window;
  return options.windows.max_windows == 0 ? all : std::min<uint64_t>(all, options.windows.max_windows);
}

// A window with its scored positions' logits.
RunNeed window_need(const EvalOptions& options, const ModelConfig& config, const Tuning& tuning,
                    CacheFormats cache) {
  const uint32_t window = options.windows.window;
  check_context(config, window);
  RunNeed need{.shape = run_shape(window, options.run, tuning)};
  need.shape.cache = cache;
  need.shape.hidden_rows = window;
  need.shape.logits_rows = std::min(kLogitsAtOnce, window / 2);
  return need;
}

void eval_perplexity(const EvalOptions& options) {
  const MemoryBaseline baseline = options.memory.wanted() ? MemoryBaseline::now() : MemoryBaseline();
  const NeedOf need = [&](const ModelConfig& config, const Tuning& tuning) {
    return window_need(options, config, tuning, options.windows.cache);
  };
  if (options.memory.dry_run)
    return print_prediction(
        options.model, predict(estimate_model(options.model, options.run, need), baseline), options.json);
  const std::string text = read_text_file(options.text);  // first: a model takes long to load
  ThreadPool pool(options.run.thread_count());
  const LoadedModel model(options.model, pool, options.run, need);
  const std::vector<TokenId> tokens = tokens_of(text, model.tokenizer);
  Executor executor(model.weights, kernels(), pool, model.chosen.tuning);
  catch_interrupts();
  std::optional<MemorySampler> memory;
  if (options.memory.measure) memory.emplace();
  Progress progress("perplexity", window_count(options, tokens.size()), "windows");
  const PerplexityResult result =
      perplexity(executor, model.tokenizer, tokens, options.windows, show_progress(progress));
  progress.finish();
  if (memory) {
    const RunShape shape = need(model.weights.config, model.chosen.tuning).shape;
    print_memory(measure_memory(*memory, predict(model.estimate(shape), baseline)));
  }
  if (options.json) {
    const OrderedJson json = {
        {"model", options.model},
        {"text", options.text},
        {"window", options.windows.window},
        {"windows", result.windows},
        {"tokens", result.scored_tokens},
        {"ppl", result.perplexity},
        {"ppl_error", result.perplexity_error},
    };
    fmt::print("{}\n", dump_json(json, 2));
    return;
  }
  fmt::print("perplexity {:.4f} +- {:.4f} ({} windows of {}, {} tokens scored)\n", result.perplexity,
             result.perplexity_error, result.windows, options.windows.window, result.scored_tokens);
}

void print_kl_json(const EvalOptions& options, const KlResult& result) {
  const OrderedJson json = {
      {"model", options.model},
      {"reference", options.against},
      {"text", options.text},
      {"window", options.windows.window},
      {"windows", result.model.windows},
      {"tokens", result.model.scored_tokens},
      {"mean_kl", result.kl.mean},
      {"mean_kl_error", result.kl.standard_error},
      {"median_kl", result.kl_median},
      {"p90_kl", result.kl_p90},
      {"p95_kl", result.kl_p95},
      {"p99_kl", result.kl_p99},
      {"p999_kl", result.kl_p999},
      {"max_kl", result.kl_maximum},
      {"same_top", result.same_top.mean},
      {"same_top_error", result.same_top.standard_error},
      {"top5_overlap", result.top5_overlap.mean},
      {"top5_overlap_error", result.top5_overlap.standard_error},
      {"probability_difference", result.probability_difference.mean},
      {"probability_difference_error", result.probability_difference.standard_error},
      {"probability_difference_rms", result.probability_difference_rms},
      {"ppl", result.model.perplexity},
      {"ppl_error", result.model.perplexity_error},
      {"ppl_reference", result.reference.perplexity},
      {"ppl_reference_error", result.reference.perplexity_error},
      {"log_ppl_ratio", result.log_perplexity_ratio.mean},
      {"log_ppl_ratio_error", result.log_perplexity_ratio.standard_error},
  };
  fmt::print("{}\n", dump_json(json, 2));
}

void eval_kl(const EvalOptions& options) {
  const MemoryBaseline baseline = options.memory.wanted() ? MemoryBaseline::now() : MemoryBaseline();
  const NeedOf reference_need = [&](const ModelConfig& config, const Tuning& tuning) {
    return window_need(options, config, tuning, options.windows.reference_cache);
  };
  const MemoryEstimate reference_estimate = estimate_model(options.against, options.run, reference_need);
  // The first model is loaded only where both fit.
  const NeedOf need = [&](const ModelConfig& config, const Tuning& tuning) {
    RunNeed both = window_need(options, config, tuning, options.windows.cache);
    both.besides = reference_estimate.peak();
    return both;
  };
  if (options.memory.dry_run) {
    const MemoryEstimate both = estimate_model(options.model, options.run, need) + reference_estimate;
    return print_prediction(options.model, predict(both, baseline), options.json);
  }
  const std::string text = read_text_file(options.text);  // first: a model takes long to load
  ThreadPool pool(options.run.thread_count());
  const LoadedModel model(options.model, pool, options.run, need);
  const LoadedModel reference(options.against, pool, options.run, reference_need);
  const std::vector<TokenId> tokens = tokens_of(text, model.tokenizer);
  if (tokens != tokens_of(text, reference.tokenizer)) {
    fail(ErrorKind::kUsage, "{} and {}: the models cut the text into different tokens", options.model,
         options.against);
  }
  Executor executor(model.weights, kernels(), pool, model.chosen.tuning);
  Executor reference_executor(reference.weights, kernels(), pool, reference.chosen.tuning);
  catch_interrupts();
  std::optional<MemorySampler> memory;
  if (options.memory.measure) memory.emplace();
  Progress progress("KL divergence", window_count(options, tokens.size()), "windows");
  const KlResult result = kl_divergence(executor, reference_executor, model.tokenizer, tokens,
                                        options.windows, show_progress(progress));
  progress.finish();
  if (memory) {
    const MemoryEstimate both =
        model.estimate(need(model.weights.config, model.chosen.tuning).shape) +
        reference.estimate(reference_need(reference.weights.config, reference.chosen.tuning).shape);
    print_memory(measure_memory(*memory, predict(both, baseline)));
  }
  if (options.json) return print_kl_json(options, result);
  fmt::print("mean KL      {:.6f} +- {:.6f} nats\n", result.kl.mean, result.kl.standard_error);
  fmt::print(
      "KL           median {:.6f}, 90 % {:.6f}, 95 % {:.6f}, 99 % {:.6f}, 99.9 % {:.6f}, most {:.6f}\n",
      result.kl_median, result.kl_p90, result.kl_p95, result.kl_p99, result.kl_p999, result.kl_maximum);
  fmt::print("same top     {:.2f} +- {:.2f} %\n", 100 * result.same_top.mean,
             100 * result.same_top.standard_error);
  fmt::print("top 5 shared {:.2f} +- {:.2f} %\n", 100 * result.top5_overlap.mean,
             100 * result.top5_overlap.standard_error);
  fmt::print("right token  {:+.4f} +- {:.4f} % of probability, rms {:.4f} %\n",
             100 * result.probability_difference.mean, 100 * result.probability_difference.standard_error,
             100 * result.probability_difference_rms);
  fmt::print("perplexity   {:.4f} +- {:.4f}, reference {:.4f} +- {:.4f}\n", result.model.perplexity,
             result.model.perplexity_error, result.reference.perplexity, result.reference.perplexity_error);
  fmt::print("ratio        {:+.3f} +- {:.3f} % of perplexity\n",
             100 * std::expm1(result.log_perplexity_ratio.mean),
             100 * result.log_perplexity_ratio.standard_error);
  fmt::print("scored       {} tokens in {} windows of {}\n", result.model.scored_tokens, result.model.windows,
             options.windows.window);
}

void add_common(Command& command, EvalOptions& options) {
  command.add_option("model", options.model, kModelHelp)->required();
  command.add_option("--text", options.text, "The text to measure on")->required();
  command.add_option("-c,--context", options.windows.window, "Tokens a window")
      ->check(Range(4U, 1U << 27))
      ->capture_default_str();
  command.add_option("--windows", options.windows.max_windows, "Only this many windows (default: all)");
  add_cache_flags(command, options.windows.cache);
  options.run.add_threads(command);
  options.run.add_no_tune(command);
  command.add_flag("--json", options.json, "Print one JSON object");
  options.memory.add(command);
}

}  // namespace

void add_eval_command(Command& app) {
  Command* command = app.add_subcommand("eval", "Measure a model's quality");
  command->require_subcommand(1);

  Command* ppl = command->add_subcommand("ppl", "Perplexity of a text (second half of each window)");
  auto ppl_options = std::make_shared<EvalOptions>();
  add_common(*ppl, *ppl_options);
  ppl->callback([ppl_options] { eval_perplexity(*ppl_options); });

  Command* kl = command->add_subcommand("kl", "KL divergence of a model from a reference, on a text");
  auto kl_options = std::make_shared<EvalOptions>();
  add_common(*kl, *kl_options);
  kl->add_option("--against", kl_options->against, "The reference model")->required();
  add_cache_flags(*kl, kl_options->windows.reference_cache, "against-", " of the reference");
  kl->callback([kl_options] { eval_kl(*kl_options); });

  add_eval_tasks(*command);
}

}  // namespace stonechat
