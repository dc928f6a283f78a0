#include "model/tuning_file.h"

#include <algorithm>
#include <filesystem>
#include <span>

#include "base/cpu_features.h"
#include "base/error.h"
#include "base/input_file.h"
#include "base/sha256.h"
#include "base/strict_json.h"
#include "base/thread_pool.h"
#include "model/planned_stacks.h"
#include "model/weight_formats.h"

namespace stonechat {
namespace {

// Ours take less than one; whatever is larger isn't read.
constexpr uint64_t kMostBytes = 16 << 10;

struct KeyField {
  const char* name;
  std::string TuningKey::*value;
};
constexpr KeyField kKeyFields[] = {
    {"cpu", &TuningKey::cpu},         {"processors", &TuningKey::processors},
    {"kernels", &TuningKey::kernels}, {"version", &TuningKey::version},
    {"model", &TuningKey::model},
};

}  // namespace

TuningKey TuningKey::of(const gguf::Reader& file, const ModelConfig& config, const KernelTable& kernels,
                        std::string version) {
  const std::string of_layers = gate_up_plan(config, 0).name;
  const std::vector<PlannedStack> stacks = planned_stacks(file, config);
  const auto layers = std::ranges::find(stacks, of_layers, [](const auto& stack) { return stack.plan.name; });
  return {
      .cpu = cpu_name(),
      .processors = fmt::format("{}, {} usable", processor_set(), usable_processors()),
      .kernels = kernels.name,
      .version = std::move(version),
      .model = fmt::format("{} {}: layers {}, width {}, heads {} + {} of {}, MLP {}, vocabulary {}",
                           config.architecture, gguf::name(tensor_type(layers->format)), config.layers,
                           config.width, config.heads, config.kv_heads, config.head_dim, config.mlp_width,
                           config.vocabulary),
  };
}

std::string tuning_path(const std::string& directory, const TuningKey& key) {
  Sha256 hash;
  for (const KeyField& field : kKeyFields) {
    const std::string line = fmt::format("{}={}\n", field.name, key.*field.value);
    hash.update(std::as_bytes(std::span(line)));
  }
  return directory + "/tuning/" + hash.hex_digest().substr(0, 16) + ".json";
}

std::string to_json(const Tuning& tuning, const TuningKey& key) {
  OrderedJson file;
  for (const KeyField& field : kKeyFields) file["key"][field.name] = key.*field.value;
  for (const TuningField& field : tuning_fields()) file["tuning"][field.name] = tuning.*field.value;
  return file.dump(2, ' ', /*ensure_ascii=*/true, OrderedJson::error_handler_t::replace) + "\n";
}

Tuning parse_tuning(std::string_view json, const TuningKey& key, const std::string& path) {
  const Json file = parse_strict_json(json, path);
  if (!file.is_object())
    fail(ErrorKind::kBadFile, "{}: expected a JSON object, found {}", path, json_text(file));
  const JsonFields fields(file, path);
  const JsonFields stored_key = fields.get_object("key");
  for (const KeyField& field : kKeyFields) {
    const std::string& expected = key.*field.value;
    if (stored_key.get_string(field.name) != expected)
      stored_key.refuse(field.name, fmt::format("'{}'", expected));
  }
  const JsonFields stored = fields.get_object("tuning");
  Tuning tuning;
  for (const TuningField& field : tuning_fields()) {
    tuning.*field.value = static_cast<uint32_t>(stored.get_uint(field.name, field.least, field.most));
  }
  for (const auto& [name, value] : stored.json().items()) {
    if (std::ranges::none_of(tuning_fields(), [&](const TuningField& field) { return name == field.name; }))
      fail(ErrorKind::kBadFile, "{}: tuning.{}: no such field", path, json_text(name));
  }
  try {
    check(tuning);
  } catch (const Error& error) {
    fail(ErrorKind::kBadFile, "{}: tuning.{}", path, error.what());
  }
  return tuning;
}

std::optional<Tuning> find_tuning(const std::string& directory, const TuningKey& key) {
  const std::string path = tuning_path(directory, key);
  std::error_code error;
  if (!std::filesystem::exists(std::filesystem::symlink_status(path, error))) return std::nullopt;
  const InputFile file(path);
  if (file.bytes() > kMostBytes)
    fail(ErrorKind::kBadFile, "{}: expected at most {} bytes, found {}", path, kMostBytes, file.bytes());
  return parse_tuning(file.read_all(), key, path);
}

}  // namespace stonechat
