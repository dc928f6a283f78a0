// A tuning as a file, with the machine, program and model that it was measured with.
//
//   {"key": {"cpu": "...", "processors": "...", ...}, "tuning": {"batch": 512, "token_block": 96, ...}}
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "gguf/reader.h"
#include "kernels/kernel_table.h"
#include "model/config.h"
#include "model/tuning.h"

namespace stonechat {

// What a tuning holds for; any difference makes it another one's.
struct TuningKey {
  std::string cpu;         // cpu_name()
  std::string processors;  // "0-1, 2 usable": the affinity mask, and what the CPU quota leaves of it
  std::string kernels;     // name of the best table
  std::string version;     // of this program
  std::string model;       // its shape and the format it is computed in, not its weights

  // Error{kBadFile} where a packed file's list of formats is broken.
  static TuningKey of(const gguf::Reader& file, const ModelConfig& config, const KernelTable& kernels,
                      std::string version);
  bool operator==(const TuningKey&) const = default;
};

// "DIRECTORY/tuning/" and 16 hexadecimal digits that stand for the whole key, ".json".
std::string tuning_path(const std::string& directory, const TuningKey& key);

std::string to_json(const Tuning& tuning, const TuningKey& key);

// Error{kBadFile} naming `path` and the field when the text is no such file, belongs to another key, or has
// values out of range.
Tuning parse_tuning(std::string_view json, const TuningKey& key, const std::string& path);

// The tuning of this key, or none where there is no such file. Errors as above, and Error{kIo} when the file
// cannot be read.
std::optional<Tuning> find_tuning(const std::string& directory, const TuningKey& key);

}  // namespace stonechat
