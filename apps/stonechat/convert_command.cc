// `stonechat convert`: a model with its tensors as floats.
#include <memory>

#include "base/error.h"
#include "commands.h"
#include "model_argument.h"
#include "quant/plans.h"
#include "rewrite_file.h"
#include "run_flags.h"

namespace stonechat {
namespace {

struct ConvertOptions {
  std::string in;
  std::string out;
  std::string type;
  bool tie_embeddings = false;
  RunFlags run;  // its threads
};

gguf::TensorType type_of(const std::string& name) {
  if (name == "f16") return gguf::TensorType::kF16;
  return name == "bf16" ? gguf::TensorType::kBF16 : gguf::TensorType::kF32;
}

void convert(const ConvertOptions& options) {
  const auto source = open_model_source(options.in);
  const gguf::ModelSource& file = *source;
  ThreadPool pool(options.run.thread_count());
  std::string notice;
  const RewritePlan plan = convert_plan(file, type_of(options.type), options.tie_embeddings, pool, notice);
  if (!notice.empty()) fmt::print(stderr, "stonechat: {}\n", notice);
  rewrite_file("convert", file, plan, options.out, pool);
}

}  // namespace

void add_convert_command(Command& app) {
  Command* command = app.add_subcommand("convert", "Write a model with its tensors as F32, F16 or BF16");
  auto options = std::make_shared<ConvertOptions>();
  command->add_option("in", options->in, kModelSourceHelp)->required();
  command->add_option("out", options->out, "The file to write")->required();
  command->add_option("--to", options->type, "f32, f16 or bf16")
      ->check(OneOf{{"f32", "f16", "bf16"}})
      ->required();
  command->add_flag("--tie-embeddings", options->tie_embeddings,
                    "Drop output.weight where it is the embedding at another precision");
  options->run.add_threads(*command);
  command->callback([options] { convert(*options); });
}

}  // namespace stonechat
