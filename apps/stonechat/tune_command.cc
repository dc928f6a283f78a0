// `stonechat tune`: measures how a model runs fastest on this machine, and stores that for later runs.
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "commands.h"
#include "eval/tuner.h"
#include "hub/environment.h"
#include "hub/pull.h"
#include "interrupt.h"
#include "kernels/dispatch.h"
#include "loaded_model.h"
#include "progress.h"
#include "tuning_choice.h"

namespace stonechat {
namespace {

constexpr const char* kReference = "qwen2.5-coder-0.5b";

struct TuneOptions {
  std::string model;
  bool quick = false;
  bool json = false;
};

// The file of the catalog's reference, without fetching it.
std::string cached_reference() {
  HubEnvironment environment = HubEnvironment::read();
  environment.offline = true;
  try {
    return pull_entry(*find_in_catalog(kReference), environment, {});
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNetwork) throw;
    fail(ErrorKind::kUsage,
         "tune: name a model: the default, {}, isn't here ('stonechat pull {}' fetches it)", kReference,
         kReference);
  }
}

// A file beside the others of the cache; refused now rather than after the measurement.
std::unique_ptr<AtomicFile> open_output(const std::string& path) {
  const std::string directory = std::filesystem::path(path).parent_path().string();
  make_directories(directory);
  return std::make_unique<AtomicFile>(path);
}

std::string percent(double ratio) {
  return ratio == 1 ? "-" : fmt::format("{:+.1f} %", 100 * (ratio - 1));
}

void print_table(const TunerResult& result, const std::string& path) {
  fmt::print("{:<16} {:<8} {:>8} {:>8} {:>9}\n", "field", "unit", "default", "chosen", "speed-up");
  for (const TunedField& field : result.fields) {
    fmt::print("{:<16} {:<8} {:>8} {:>8} {:>9}\n", field.field->name, field.field->unit, field.usual,
               field.chosen, field.tried ? percent(field.speed_up) : "not tried");
  }
  fmt::print("\n{:<8} {:>12} {:>12} {:>9}\n", "tokens/s", "default", "tuned", "speed-up");
  for (const TunedWork& work : result.work) {
    fmt::print("{:<8} {:>12.1f} {:>12.1f} {:>9}  {}\n", work.name, work.usual_speed, work.tuned_speed,
               percent(work.speed_up), work.what);
  }
  fmt::print("\nmeasured in {:.0f} s, stored in {}\n", result.seconds, path);
}

void print_json(const TunerResult& result, const std::string& model, const TuningKey& key,
                const std::string& path) {
  OrderedJson json = OrderedJson::parse(to_json(result.tuning, key));
  json["model"] = model;
  json["file"] = path;
  json["seconds"] = result.seconds;
  for (const TunedField& field : result.fields) {
    json["fields"].push_back({{"field", field.field->name},
                              {"unit", field.field->unit},
                              {"default", field.usual},
                              {"chosen", field.chosen},
                              {"tried", field.tried},
                              {"speed_up", field.speed_up}});
  }
  for (const TunedWork& work : result.work) {
    json["work"].push_back({{"work", work.name},
                            {"what", work.what},
                            {"default_tokens_per_second", work.usual_speed},
                            {"tuned_tokens_per_second", work.tuned_speed},
                            {"speed_up", work.speed_up}});
  }
  fmt::print("{}\n", dump_json(json, 2));
}

void tune(const TuneOptions& options) {
  const std::string name = options.model.empty() ? cached_reference() : options.model;
  const uint32_t processors = usable_processors();
  ThreadPool pool(processors);
  RunFlags untuned;
  untuned.no_tune = true;
  const LoadedModel model(name, pool, untuned);
  catch_interrupts();  // not before: loading doesn't ask
  const TuningKey key = tuning_key(model.file, model.weights.config);
  const std::string path = tuning_path(HubEnvironment::read().own_cache, key);
  const auto output = open_output(path);
  std::unique_ptr<Progress> progress;
  const TunerResult result = find_fastest(model.weights, kernels(), pool,
                                          {.seconds = options.quick ? 14.0 : 92.0,
                                           .most_prompt = options.quick ? 256U : 512U,
                                           .few_values = options.quick,
                                           .processors = processors,
                                           .should_stop = interrupted,
                                           .progress = [&](uint64_t done, uint64_t total) {
                                             if (!progress)
                                               progress =
                                                   std::make_unique<Progress>("tune", total, "comparisons");
                                             progress->update(done);
                                           }});
  progress.reset();
  const std::string text = to_json(result.tuning, key);
  output->write(std::as_bytes(std::span(text)));
  output->commit();
  if (options.json) {
    print_json(result, model.path, key, path);
  } else {
    print_table(result, path);
  }
}

}  // namespace

void add_tune_command(Command& app) {
  Command* command = app.add_subcommand("tune", "Measure how models run fastest here, for later runs");
  auto options = std::make_shared<TuneOptions>();
  command->add_option(
      "model", options->model,
      fmt::format("A GGUF file, a catalog name, or hf:OWNER/REPO[/FILE]; the result serves all "
                  "models of this shape (default: {}, if it is here)",
                  kReference));
  command->add_flag("--quick", options->quick, "Take 20 seconds instead of two minutes at most");
  command->add_flag("--json", options->json, "Print one JSON object");
  command->callback([options] { tune(*options); });
}

}  // namespace stonechat
