// `stonechat calibrate`: what a model's activations and weights are like, measured on a text.
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/sha256.h"
#include "commands.h"
#include "eval/calibration.h"
#include "interrupt.h"
#include "kernels/dispatch.h"
#include "loaded_model.h"
#include "model/packed_file.h"
#include "model_argument.h"
#include "output_file.h"
#include "progress.h"
#include "quant/schemes.h"
#include "quant/weight_stats.h"
#include "text_input.h"
#include "tokenizer/unicode.h"

namespace stonechat {
namespace {

struct CalibrateOptions {
  std::string model;
  std::string text;
  std::string out;
  std::string format = "stats";
  RunFlags run;
  WindowOptions windows;
};

// Bytes that aren't UTF-8 say that this is no text.
void check_text(const std::string& path, const std::string& text) {
  if (text.empty()) fail(ErrorKind::kUsage, "{}: expected a text, found an empty file", path);
  for (size_t offset = 0; offset < text.size();) {
    const Character character = character_at(text, offset);
    if (character.code == 0xfffd && character.bytes == 1) {
      fail(ErrorKind::kUsage, "{}: expected UTF-8 text, found byte 0x{:02x} at offset {}", path,
           static_cast<unsigned char>(text[offset]), offset);
    }
    offset += character.bytes;
  }
}

// Of the F32, F16, Q8_0 ... file: a packed one has no tensors.
std::vector<WeightStats> weights_of(const gguf::Reader& file, ThreadPool& pool) {
  constexpr uint64_t kSteps = 100;
  Progress progress("weights", kSteps, "%");
  auto stats = weight_stats(
      file, pool, [&](uint64_t done, uint64_t all) { progress.update(done / (all / kSteps + 1)); },
      interrupted);
  progress.finish();
  return stats;
}

Calibration run(const CalibrateOptions& options, const LoadedModel& model, std::span<const TokenId> tokens,
                ThreadPool& pool) {
  Executor executor(model.weights, kernels(), pool, model.chosen.tuning);
  Progress progress("calibrate", Windows(model.tokenizer, tokens, options.windows).count(), "chunks");
  progress.update(0);
  return calibrate(executor, model.tokenizer, tokens, options.windows, [&](uint64_t done, uint64_t) {
    progress.update(done);
    return interrupted();
  });
}

void write(const CalibrateOptions& options, const LoadedModel& model, const std::string& text,
           std::vector<WeightStats> weights, Calibration result) {
  const std::string text_name = std::filesystem::path(options.text).filename().string();
  const auto chunks = static_cast<uint32_t>(result.windows);
  const ModelConfig& config = model.weights.config;
  if (options.format == "imatrix") {
    write_imatrix(options.out,
                  {.dataset = text_name,
                   .chunks = chunks,
                   .chunk_size = options.windows.window,
                   .entries = importance(result.taps, config.layers, model.weights.head.has_value())});
    return;
  }
  CalibrationStats stats = {
      .model = config.name,
      .architecture = config.architecture,
      .file_type = model.weights.file_type,
      .shape = tap_shape(config),
      .text = text_name,
      .text_sha256 = sha256_of_text(text),
      .chunks = chunks,
      .chunk_size = options.windows.window,
      .taps = std::move(result.taps),
      .key_biases = key_biases(model.file, config),
      .schemes = {},
      .weights = std::move(weights),
  };
  for (const Scheme& scheme : schemes()) stats.schemes.emplace_back(scheme.name);
  write_calibration(options.out, stats);
}

void calibrate_model(const CalibrateOptions& options) {
  const std::string text = read_text_file(options.text);  // first: a model takes long to load
  check_text(options.text, text);
  const std::string path = resolve_model(options.model);
  check_output(options.out, {path, options.text});
  if (is_packed(gguf::Reader(path).metadata())) {
    fail(ErrorKind::kUsage,
         "{}: calibrate: a packed file has no tensors; take the GGUF file that it was made from", path);
  }
  ThreadPool pool(options.run.thread_count());
  const LoadedModel model(path, pool, options.run);
  check_context(model.weights.config, options.windows.window);
  const std::vector<TokenId> tokens = model.tokenizer.encode(text, Tokenizer::SpecialTokens::kPlainText);
  const uint64_t wanted = Windows(model.tokenizer, tokens, options.windows).count();
  catch_interrupts();
  std::vector<WeightStats> weights;
  if (options.format == "stats") weights = weights_of(model.file, pool);
  Calibration result = run(options, model, tokens, pool);
  const uint64_t done = result.windows;
  write(options, model, text, std::move(weights), std::move(result));
  if (done < wanted) {
    fail(ErrorKind::kInterrupted, "interrupted: {} has the first {} of {} chunks", options.out, done, wanted);
  }
  fmt::print("wrote {}: {} chunks of {} tokens\n", options.out, done, options.windows.window);
}

}  // namespace

void add_calibrate_command(Command& app) {
  Command* command = app.add_subcommand("calibrate", "Measure a model's activations and weights on a text");
  auto options = std::make_shared<CalibrateOptions>();
  command->add_option("model", options->model, kGgufHelp)->required();
  command->add_option("--text", options->text, "The text to measure on")->required();
  command->add_option("-o,--output", options->out, "The file to write")->required();
  command->add_option("--chunks", options->windows.max_windows, "Only this many chunks (default: all)");
  command->add_option("-c,--context", options->windows.window, "Tokens a chunk")
      ->check(Range(4U, 1U << 27))
      ->capture_default_str();
  command->add_option("--format", options->format, "stats, or imatrix: what llama.cpp's quantizer reads")
      ->check(OneOf{{"stats", "imatrix"}})
      ->capture_default_str();
  options->run.add_batch(*command);
  options->run.add_threads(*command);
  options->run.add_no_tune(*command);
  command->callback([options] { calibrate_model(*options); });
}

}  // namespace stonechat
