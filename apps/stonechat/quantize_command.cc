// `stonechat quantize`: a model with its matrices in 8 bits.
#include <memory>
#include <set>

#include "base/error.h"
#include "commands.h"
#include "model_argument.h"
#include "quant/plans.h"
#include "rewrite_file.h"

namespace stonechat {
namespace {

struct QuantizeOptions {
  std::string in;
  std::string out;
  std::string type;
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

void quantize(const QuantizeOptions& options) {
  const gguf::Reader file(resolve_model(options.in));
  if (file.file().is_same_file_as(options.out)) {
    fail(ErrorKind::kUsage, "{}: the output is the input; expected another file", options.out);
  }
  const RewritePlan plan = quantize_plan(file, gguf::TensorType::kQ8_0);
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
  CLI::App* command = app.add_subcommand("quantize", "Write a model with its matrices in 8 bits");
  auto options = std::make_shared<QuantizeOptions>();
  command->add_option("in", options->in, "A GGUF file, a catalog name, or hf:OWNER/REPO[/FILE]")->required();
  command->add_option("out", options->out, "The file to write")->required();
  command->add_option("--type", options->type, "q8_0")->check(CLI::IsMember({"q8_0"}))->required();
  command->add_flag("--dry-run", options->dry_run, "Say what would be written, and write nothing");
  command->add_option("-t,--threads", options->threads, "Threads (default: the processors that we may use)")
      ->check(CLI::Range(1U, 1024U));
  command->callback([options] { quantize(*options); });
}

}  // namespace stonechat
