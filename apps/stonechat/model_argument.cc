#include "model_argument.h"

#include <filesystem>
#include <memory>

#include "base/error.h"
#include "hub/pull.h"
#include "interrupt.h"
#include "progress.h"

namespace stonechat {
namespace {

// Shows a line for each file of a pull.
class PullDisplay {
 public:
  PullCallbacks callbacks() {
    return {[this](const std::string& sentence) {
              progress_.reset();
              fmt::print(stderr, "stonechat: {}\n", sentence);
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

std::string pull_model(const std::string& name) {
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
                          : pull_from_hub(name, environment, callbacks);
}

std::string resolve_model(const std::string& argument) {
  std::error_code error;
  if (std::filesystem::exists(argument, error)) return argument;
  return pull_model(argument);
}

}  // namespace stonechat
