// What a user may write where a command wants a model: a path, a name of the catalog, or
// hf:OWNER/REPO[/FILE]; and where it wants a data set.
#pragma once

#include <memory>
#include <string>

#include "gguf/model_source.h"
#include "hub/pull.h"

namespace stonechat {

// The path of the model file. An existing path is itself; a catalog name or hf: reference is the cached file,
// which is downloaded first when absent (with a notice on stderr). Anything else: Error{kUsage}.
std::string resolve_model(const std::string& argument);

// The same without looking for a file of that name; of a model that comes as safetensors, the directory.
std::string pull_model(const std::string& name, HubContent wanted);

// A GGUF file as above, or a publisher's directory of safetensors: a path of one, or of the hub. Says on
// stderr what of it is left out.
std::unique_ptr<gguf::ModelSource> open_model_source(const std::string& argument);

// A file of questions: a path, or hf:datasets/OWNER/REPO/FILE, which is downloaded when it isn't cached.
// Error{kUsage} for Parquet.
std::string resolve_data(const std::string& argument);

// What --help says of arguments: that run a model, that read its tensors, that may be a publisher's.
inline constexpr const char* kModelHelp = "A GGUF or packed file, a catalog name, or hf:OWNER/REPO[/FILE]";
inline constexpr const char* kGgufHelp = "A GGUF file, a catalog name, or hf:OWNER/REPO[/FILE]";
inline constexpr const char* kModelSourceHelp =
    "A GGUF file, a directory with config.json and safetensors, a catalog name, or hf:OWNER/REPO[/FILE]";

}  // namespace stonechat
