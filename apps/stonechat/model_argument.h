// What a user may write where a command wants a model: a path, a name of the catalog, or
// hf:OWNER/REPO[/FILE].
#pragma once

#include <string>

namespace stonechat {

// The path of the model file. An existing path is itself; a catalog name or hf: reference is the cached file,
// which is downloaded first when absent (with a notice on stderr). Anything else: Error{kUsage}.
std::string resolve_model(const std::string& argument);

// The same without looking for a file of that name.
std::string pull_model(const std::string& name);

}  // namespace stonechat
