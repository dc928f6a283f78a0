// `stonechat run`: completes a text.
#include <cstdio>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "commands.h"
#include "engine/session.h"
#include "interrupt.h"
#include "kernels/dispatch.h"
#include "loaded_model.h"
#include "memory_report.h"
#include "model_argument.h"
#include "sampling_flags.h"
#include "text_input.h"

namespace stonechat {
namespace {

struct RunOptions {
  std::string model;
  std::string prompt;
  std::string file;
  RunFlags run;
  SamplingFlags sampling;
  bool parse_special = false;
  bool json = false;
  bool stats = false;
  MemoryFlags memory;
};

std::string prompt_text(const RunOptions& options, bool prompt_given) {
  if (!options.file.empty()) {
    if (prompt_given) fail(ErrorKind::kUsage, "run: give a prompt or --file, not both");
    return read_text_file(options.file);
  }
  if (prompt_given && options.prompt != "-") return options.prompt;
  if (!prompt_given && standard_input_is_terminal()) {
    fail(ErrorKind::kUsage,
         "run: a prompt is missing: give it as an argument, with --file, or on standard input");
  }
  return read_standard_input();
}

void print_json(const RunOptions& options, const std::string& text, const GenerateStats& stats,
                uint64_t seed) {
  const OrderedJson result = {
      {"model", options.model},
      {"text", text},
      {"end_reason", name(stats.reason)},
      {"prompt_tokens", stats.prompt_tokens},
      {"generated_tokens", stats.generated_tokens},
      {"prompt_seconds", stats.prompt_seconds},
      {"generate_seconds", stats.generate_seconds},
      {"prompt_tokens_per_second", stats.prompt_speed()},
      {"generated_tokens_per_second", stats.generate_speed()},
      {"seed", seed},
  };
  fmt::print("{}\n", dump_json(result, 2));
}

void run(const RunOptions& options, bool prompt_given) {
  const MemoryBaseline baseline = options.memory.wanted() ? MemoryBaseline::now() : MemoryBaseline();
  // The prompt may be short, and the answer too.
  const NeedOf need = [&](const ModelConfig& config, const Tuning& tuning) {
    return RunNeed{.shape = run_shape(context_for(config, options.run.context), options.run, tuning),
                   .fills_cache = false};
  };
  if (options.memory.dry_run)
    return print_prediction(
        options.model, predict(estimate_model(options.model, options.run, need), baseline), options.json);
  const std::string text = prompt_text(options, prompt_given);
  const GenerateOptions generate = options.sampling.resolve();
  const Sampler check_options_before_loading(generate.sampler);
  ThreadPool pool(options.run.thread_count());
  const LoadedModel model(options.model, pool, options.run, need);
  Session session(model.weights, model.tokenizer, kernels(), pool,
                  context_for(model.weights.config, options.run.context), model.chosen.tuning,
                  options.run.cache);

  using SpecialTokens = Tokenizer::SpecialTokens;
  std::vector<TokenId> prompt;
  if (model.tokenizer.add_bos() && model.tokenizer.bos()) prompt.push_back(*model.tokenizer.bos());
  const auto tokens =
      model.tokenizer.encode(text, options.parse_special ? SpecialTokens::kParse : SpecialTokens::kPlainText);
  prompt.insert(prompt.end(), tokens.begin(), tokens.end());

  catch_interrupts();
  std::optional<MemorySampler> memory;
  if (options.memory.measure) memory.emplace();
  std::string answer;
  const GenerateStats stats = session.generate(
      prompt, generate,
      [&](std::string_view piece) {
        if (options.json) {
          answer += piece;
        } else {
          std::fwrite(piece.data(), 1, piece.size(), stdout);
          std::fflush(stdout);
        }
      },
      interrupted);
  std::optional<MemoryFigures> figures;
  if (memory) {
    RunShape shape = run_shape(session.cache().length(), options.run, model.chosen.tuning);
    shape.pass_tokens = stats.prompt_tokens;
    figures = measure_memory(*memory, predict(model.estimate(shape), baseline));
  }
  if (options.json) {
    print_json(options, answer, stats, generate.sampler.seed);
  } else {
    std::fputc('\n', stdout);
  }
  if (options.stats) {
    fmt::print(
        stderr,
        "prompt: {} tokens, {:.1f} tokens/s; answer: {} tokens, {:.1f} tokens/s; ended by {}; seed {}\n",
        stats.prompt_tokens, stats.prompt_speed(), stats.generated_tokens, stats.generate_speed(),
        name(stats.reason), generate.sampler.seed);
  }
  if (figures) print_memory(*figures);
  if (stats.reason == EndReason::kInterrupted) fail(ErrorKind::kInterrupted, "interrupted");
}

}  // namespace

void add_run_command(Command& app) {
  Command* command = app.add_subcommand("run", "Complete a text");
  auto options = std::make_shared<RunOptions>();
  command->add_option("model", options->model, kModelHelp)->required();
  CommandOption* prompt =
      command->add_option("prompt", options->prompt, "The text to go on with; - or none: standard input");
  command->add_option("-f,--file", options->file, "Read the prompt from this file");
  options->run.add_threads(*command);
  options->run.add_context(*command);
  options->run.add_no_tune(*command);
  options->sampling.add(*command);
  command->add_flag("--ignore-eos", options->sampling.options.ignore_end, "Go on after the end token");
  command->add_flag("--special", options->parse_special,
                    "Read special tokens such as <|im_end|> in the prompt");
  command->add_flag("--json", options->json, "Print one JSON object at the end");
  command->add_flag("--stats", options->stats, "Print counts and speeds on standard error");
  options->memory.add(*command);
  command->callback([options, prompt] { run(*options, prompt->count() > 0); });
}

}  // namespace stonechat
