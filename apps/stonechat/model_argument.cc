#include "model_argument.h"

#include <filesystem>
#include <memory>

#include "base/error.h"
#include "gguf/reader.h"
#include "hub/pull.h"
#include "interrupt.h"
#include "progress.h"
#include "publisher/publisher_model.h"

namespace stonechat {
namespace {

// Shows a line for each file of a pull.
class PullDisplay {
 public:
  PullCallbacks callbacks() {
    return {[this](const std::string& sentence) {
              progress_.reset();
              fmt::print(stderr, "stonechat: {}\n", printable(sentence));
            },
            [this](const std::string& file, uint64_t done, uint64_t total) {
              if (!progress_ || file != file_) {
                progress_.reset();
                progress_ = std::make_unique<Progress>(file, total, "bytes");
                file_ = file;
              }
              progress_->update(done);
            },
            interrupted};
  }

 private:
  std::string file_;
  std::unique_ptr<Progress> progress_;
};

}  // namespace

std::string pull_model(const std::string& name, HubContent wanted) {
  const CatalogEntry* entry = find_in_catalog(name);
  if (entry == nullptr && !name.starts_with("hf:")) {
    std::string names;
    for (const auto& known : catalog()) names += (names.empty() ? "" : ", ") + known.name;
    fail(ErrorKind::kUsage, "{}: no such file, and not in the catalog ({}) nor hf:OWNER/REPO[/FILE]", name,
         names);
  }
  catch_interrupts();
  PullDisplay display;
  const PullCallbacks callbacks = display.callbacks();
  const HubEnvironment environment = HubEnvironment::read();
  return entry != nullptr ? pull_entry(*entry, environment, callbacks)
                          : pull_from_hub(name, wanted, environment, callbacks);
}

std::string resolve_model(const std::string& argument) {
  std::error_code error;
  const std::string path =
      std::filesystem::exists(argument, error) ? argument : pull_model(argument, HubContent::kModelFile);
  if (std::filesystem::is_directory(path, error)) {
    fail(ErrorKind::kBadFile,
         "{}: a directory, not a regular file; `stonechat convert` makes a GGUF file of safetensors", path);
  }
  return path;
}

std::unique_ptr<gguf::ModelSource> open_model_source(const std::string& argument) {
  std::error_code error;
  const std::string path =
      std::filesystem::exists(argument, error) ? argument : pull_model(argument, HubContent::kAnyModel);
  if (!std::filesystem::is_directory(path, error)) return std::make_unique<gguf::Reader>(path);
  auto model = std::make_unique<PublisherModel>(path);
  for (const auto& notice : model->notices()) fmt::print(stderr, "stonechat: {}\n", printable(notice));
  return model;
}

std::string resolve_data(const std::string& argument) {
  if (argument.ends_with(".parquet")) {
    fail(ErrorKind::kUsage,
         "{}: Parquet is not read; JSON lines and .csv are. pandas makes them: "
         "pandas.read_parquet(FILE).to_json(OUT, orient=\"records\", lines=True)",
         argument);
  }
  std::error_code error;
  if (!argument.starts_with("hf:") || std::filesystem::exists(argument, error)) return argument;
  catch_interrupts();
  PullDisplay display;
  return pull_data_from_hub(argument, HubEnvironment::read(), display.callbacks());
}

}  // namespace stonechat
