// What generation_config.json and a model's name say, as GGUF's general.* metadata.
#pragma once

#include <cstdint>
#include <string>

#include "base/strict_json.h"
#include "gguf/metadata.h"

namespace stonechat {

// general.sampling.*: what the publisher recommends.
void add_sampling(const JsonFields& generation, gguf::Metadata& metadata);

// The name under which a directory was published: its own, or the repository's for a snapshot in the hub's
// cache (models--OWNER--REPO/snapshots/COMMIT).
std::string published_name(const std::string& directory);

// general.name, version, organization, finetune, basename, size_label. What `id` ("_name_or_path" of
// config.json, or empty) doesn't say comes from `directory_name`, the size at last from the number of
// parameters.
void add_name(const std::string& id, const std::string& directory_name, uint64_t parameters,
              gguf::Metadata& metadata);

}  // namespace stonechat
