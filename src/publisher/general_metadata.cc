#include "publisher/general_metadata.h"

#include <algorithm>
#include <filesystem>

#include "publisher/model_name.h"

namespace stonechat {
namespace {

namespace fs = std::filesystem;

std::string first_of(const std::string& first, const std::string& otherwise) {
  return first.empty() ? otherwise : first;
}

}  // namespace

void add_sampling(const JsonFields& generation, gguf::Metadata& metadata) {
  enum class Kind { kInteger, kFloat, kText };
  struct Field {
    const char* name;  // in generation_config.json
    const char* key;
    Kind kind;
  };
  static constexpr Field kFields[] = {{"sequence", "sequence", Kind::kText},
                                      {"top_k", "top_k", Kind::kInteger},
                                      {"top_p", "top_p", Kind::kFloat},
                                      {"min_p", "min_p", Kind::kFloat},
                                      {"xtc_probability", "xtc_probability", Kind::kFloat},
                                      {"xtc_threshold", "xtc_threshold", Kind::kFloat},
                                      {"temperature", "temp", Kind::kFloat},
                                      {"penalty_last_n", "penalty_last_n", Kind::kInteger},
                                      {"penalty_repeat", "penalty_repeat", Kind::kFloat},
                                      {"mirostat", "mirostat", Kind::kInteger},
                                      {"mirostat_tau", "mirostat_tau", Kind::kFloat},
                                      {"mirostat_eta", "mirostat_eta", Kind::kFloat}};
  for (const Field& field : kFields) {
    const std::string key = std::string("general.sampling.") + field.key;
    if (field.kind == Kind::kText) {
      if (const auto text = generation.find_string(field.name); text && !text->empty())
        metadata.set(key, gguf::Value::of_string(*text));
    } else if (field.kind == Kind::kFloat) {
      if (const auto number = generation.find_number(field.name, -1e30, 1e30))
        metadata.set(key, gguf::Value::of_float32(static_cast<float>(*number)));
    } else if (const Json* value = generation.find(field.name)) {
      if (!value->is_number_integer() || value->get<double>() < INT32_MIN || value->get<double>() > INT32_MAX)
        generation.refuse(field.name, "an integer of 32 bits");
      metadata.set(key, {gguf::ValueType::kInt32, gguf::ValueType::kUint32, value->get<int64_t>()});
    }
  }
}

std::string published_name(const std::string& directory) {
  std::error_code error;
  fs::path path = fs::absolute(directory, error).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  const fs::path snapshots = path.parent_path();
  const std::string repository = snapshots.parent_path().filename().string();
  if (snapshots.filename() == "snapshots" && repository.starts_with("models--")) {
    const size_t owner = repository.find("--") + 2;
    const size_t name = repository.find("--", owner);
    if (name != std::string::npos) return repository.substr(name + 2);
  }
  return path.filename().string();
}

void add_name(const std::string& id, const std::string& directory_name, uint64_t parameters,
              gguf::Metadata& metadata) {
  // A path on the publisher's machine is no name.
  const bool is_name = std::count(id.begin(), id.end(), '/') <= 1;
  const ModelName theirs = is_name ? parse_model_name(id, parameters) : ModelName();
  const ModelName directory = parse_model_name(directory_name, parameters);
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) metadata.set(key, gguf::Value::of_string(value));
  };
  add("general.name", first_of(title_of(theirs.name), title_of(directory.name)));
  add("general.version", first_of(theirs.version, directory.version));
  add("general.organization", first_of(title_of(theirs.organization), title_of(directory.organization)));
  add("general.finetune", first_of(theirs.finetune, directory.finetune));
  add("general.basename", first_of(theirs.basename, directory.basename));
  add("general.size_label",
      first_of(first_of(theirs.size_label, directory.size_label), size_label_of(parameters)));
}

}  // namespace stonechat
