// `stonechat pack`: a model in the layout of one table of kernels, to be mapped instead of read.
#include <memory>

#include "base/error.h"
#include "base/memory_parts.h"
#include "commands.h"
#include "interrupt.h"
#include "kernels/dispatch.h"
#include "model/packed_file.h"
#include "model_argument.h"
#include "progress.h"
#include "run_flags.h"

namespace stonechat {
namespace {

struct PackOptions {
  std::string in;
  std::string out;
  std::string isa;
  RunFlags run;
};

void pack(const PackOptions& options) {
  const KernelTable table = options.isa.empty() ? kernels() : kernels_up_to(options.isa, "--isa");
  const gguf::Reader file(resolve_model(options.in));
  ThreadPool pool(options.run.thread_count());
  catch_interrupts();
  Progress progress("pack", 0, "bytes");
  const uint64_t bytes = write_packed(
      file, table, options.out, pool, [&](uint64_t done, uint64_t) { progress.update(done); }, interrupted);
  progress.finish();
  fmt::print("packed for {}, {:.2f} MiB\nwrote {}\n", table.name, mebibytes(bytes), options.out);
}

}  // namespace

void add_pack_command(Command& app) {
  Command* command = app.add_subcommand("pack", "Write a model as this processor wants it: loads at once");
  auto options = std::make_shared<PackOptions>();
  command->add_option("in", options->in, kGgufHelp)->required();
  command->add_option("out", options->out, "The file to write")->required();
  command->add_option("--isa", options->isa,
                      "Kernels to pack for, such as avx2 (default: those that run here)");
  options->run.add_threads(*command);
  command->callback([options] { pack(*options); });
}

}  // namespace stonechat
