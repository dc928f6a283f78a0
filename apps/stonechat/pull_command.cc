// `stonechat pull`: fetches a model and prints where it is.
#include <filesystem>
#include <memory>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/input_file.h"
#include "base/memory_parts.h"
#include "commands.h"
#include "hub/catalog.h"
#include "interrupt.h"
#include "model_argument.h"

namespace stonechat {
namespace {

namespace fs = std::filesystem;

struct PullOptions {
  std::string name;
  std::string to;
  bool list = false;
};

void print_catalog() {
  for (const auto& entry : catalog()) {
    fmt::print("{:<24} {:>10}  {}\n", entry.name,
               entry.bytes == 0 ? "" : fmt::format("{:.1f} MiB", mebibytes(entry.bytes)), entry.about);
  }
}

void copy_file(const std::string& from, const std::string& to) {
  const InputFile in(from);
  if (in.is_same_file_as(to)) return;
  AtomicFile out(to, in.bytes());
  in.read_pieces([&](std::span<const std::byte> piece) {
    if (interrupted()) fail(ErrorKind::kInterrupted, "interrupted");
    out.write(piece);
  });
  out.commit();
}

// Copies a file, or the files of a snapshot, into the directory; returns the path of the copy.
std::string copy_to(const std::string& path, const std::string& directory) {
  make_directories(directory);
  if (!fs::is_directory(path)) {
    const std::string target = (fs::path(directory) / fs::path(path).filename()).string();
    copy_file(path, target);
    return target;
  }
  for (const auto& entry : fs::directory_iterator(path)) {
    if (!entry.is_regular_file()) continue;  // what Python tools fetched of the repository's folders
    copy_file(entry.path().string(), (fs::path(directory) / entry.path().filename()).string());
  }
  return directory;
}

void pull(const PullOptions& options) {
  if (options.list) return print_catalog();
  if (options.name.empty()) fail(ErrorKind::kUsage, "pull: a name is missing; --list shows the catalog");
  std::string path = pull_model(options.name, HubContent::kAnyModel);
  if (!options.to.empty()) path = copy_to(path, options.to);
  fmt::print("{}\n", path);
}

}  // namespace

void add_pull_command(Command& app) {
  Command* command = app.add_subcommand("pull", "Fetch a model and print its path");
  auto options = std::make_shared<PullOptions>();
  command->add_option("name", options->name, "A catalog name, or hf:OWNER/REPO[/FILE]");
  command->add_option("--to", options->to, "Copy it into this directory");
  command->add_flag("--list", options->list, "Show the catalog");
  command->callback([options] { pull(*options); });
}

}  // namespace stonechat
