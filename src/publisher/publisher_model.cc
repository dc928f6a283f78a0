#include "publisher/publisher_model.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>

#include "base/error.h"
#include "base/input_file.h"
#include "publisher/general_metadata.h"
#include "publisher/model_card.h"
#include "publisher/special_tokens.h"
#include "publisher/tensor_roles.h"
#include "publisher/vocabulary.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8_stream.h"

namespace stonechat {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr uint64_t kMostTemplateBytes = 1 << 20;

gguf::TensorType stored_type(const safetensors::Reader& file, const safetensors::Tensor& tensor) {
  if (tensor.type == "F32") return gguf::TensorType::kF32;
  if (tensor.type == "F16") return gguf::TensorType::kF16;
  if (tensor.type == "BF16") return gguf::TensorType::kBF16;
  fail(ErrorKind::kBadFile, "{}: tensor {}: expected F32, F16 or BF16, found {}", file.path(), tensor.name,
       tensor.type);
}

// A name from the index becomes part of a path.
bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

// With U+FFFD for what isn't UTF-8, as texts in GGUF must be.
std::string repaired(std::string_view text) {
  Utf8Stream stream;
  std::string result = stream.push(text);
  return result + stream.finish();
}

std::string read_bytes(const InputFile& file, uint64_t bytes) {
  std::string text(bytes, '\0');
  file.read(0, std::as_writable_bytes(std::span(text)));
  return text;
}

// The head of a model card stands at the start, so a long text may be cut.
std::string read_card(const std::string& path) {
  constexpr uint64_t kMostCardBytes = 1 << 16;
  const InputFile file(path);
  return repaired(read_bytes(file, std::min(file.bytes(), kMostCardBytes)));
}

std::string read_template(const std::string& path) {
  const InputFile file(path);
  if (file.bytes() > kMostTemplateBytes) {
    fail(ErrorKind::kBadFile, "{}: expected at most {} bytes, found {}", path, kMostTemplateBytes,
         file.bytes());
  }
  std::string text = read_bytes(file, file.bytes());
  if (repaired(text) != text) fail(ErrorKind::kBadFile, "{}: expected UTF-8, found other bytes", path);
  return text;
}

// Refuses what no tokenizer could work with. Its errors name fields of GGUF, the user has `json`.
void check_tokenizer(const gguf::Metadata& metadata, const std::string& json) {
  constexpr std::pair<const char*, const char*> kFields[] = {{"tokens", "vocab"}, {"merges", "merges"}};
  try {
    const Tokenizer checked(metadata);
  } catch (const Error& error) {
    const std::string_view text = error.what();
    for (const auto& [theirs, ours] : kFields) {
      const std::string start = fmt::format("{}: tokenizer.ggml.{}[", metadata.file(), theirs);
      if (text.starts_with(start))
        fail(error.kind(), "{}: model.{}[{}", json, ours, text.substr(start.size()));
    }
    throw;
  }
}

}  // namespace

PublisherModel::PublisherModel(const std::string& directory) : directory_(directory), metadata_(directory) {
  const Json json = read_json("config.json");
  const JsonFields fields(json, file("config.json"));
  const PublisherConfig config = PublisherConfig::from(fields);
  open_safetensors();
  add_tensors(config);
  read_metadata(config, fields);
}

std::string PublisherModel::file(const std::string& name) const {
  return (fs::path(directory_) / name).string();
}

bool PublisherModel::has(const std::string& name) const {
  std::error_code error;
  return fs::exists(file(name), error);
}

Json PublisherModel::read_json(const std::string& name) {
  files_.push_back(file(name));
  return read_json_object(files_.back());
}

void PublisherModel::open_safetensors() {
  if (has(kIndex)) return open_shards();
  if (!has(kSingle)) {
    fail(ErrorKind::kBadFile, "{}: expected {} or {}, found neither", directory_, kSingle, kIndex);
  }
  files_.push_back(file(kSingle));
  shards_.push_back(std::make_unique<safetensors::Reader>(files_.back()));
}

// The index says which tensor is in which file; both must agree.
void PublisherModel::open_shards() {
  const Json json = read_json(kIndex);
  const JsonFields index(json, file(kIndex));
  std::map<std::string, std::vector<std::string>> tensors_of;  // by file
  const JsonFields weight_map = index.get_object("weight_map");
  for (const auto& [tensor, name] : weight_map.json().items()) {
    if (!name.is_string() || !is_plain_file_name(name.get<std::string>()))
      weight_map.refuse(tensor, "the name of a file beside the index");
    tensors_of[name.get<std::string>()].push_back(tensor);
  }
  if (tensors_of.empty()) index.refuse("weight_map", "names of tensors");
  for (const auto& [name, tensors] : tensors_of) {
    files_.push_back(file(name));
    shards_.push_back(std::make_unique<safetensors::Reader>(files_.back()));
    const safetensors::Reader& shard = *shards_.back();
    for (const auto& tensor : tensors) {
      if (shard.find(tensor) == nullptr)
        fail(ErrorKind::kBadFile, "{}: tensor {} is missing, {} says that it is here", shard.path(), tensor,
             kIndex);
    }
    for (const auto& tensor : shard.tensors()) {
      if (!std::binary_search(tensors.begin(), tensors.end(), tensor.name))
        fail(ErrorKind::kBadFile, "{}: tensor {}: expected in {}, found only here", shard.path(), tensor.name,
             kIndex);
    }
  }
}

void PublisherModel::add_tensors(const PublisherConfig& config) {
  std::vector<float> factors = config.rope_factors();
  if (!factors.empty()) {
    tensors_.push_back(
        {"rope_freqs.weight", gguf::TensorType::kF32, {factors.size()}, 0, factors.size() * sizeof(float)});
    origins_.push_back({nullptr, nullptr, 0, std::move(factors)});
  }
  const std::map<std::string, TensorRole> roles = tensor_roles(config);
  std::map<std::string, std::pair<const safetensors::Reader*, const safetensors::Tensor*>> found;
  for (const auto& shard : shards_) {
    for (const auto& tensor : shard->tensors()) {
      if (is_left_out(tensor.name)) continue;
      if (!roles.contains(tensor.name)) {
        fail(ErrorKind::kBadFile, "{}: tensor {}: expected the tensors of a {} model of {} layers",
             shard->path(), tensor.name, config.architecture, config.layers);
      }
      found[tensor.name] = {shard.get(), &tensor};
    }
  }
  for (const auto& [theirs, role] : roles) {
    const auto place = found.find(theirs);
    if (place == found.end()) {
      if (role.required) fail(ErrorKind::kBadFile, "{}: tensor {} is missing", directory_, theirs);
      continue;
    }
    const auto& [shard, tensor] = place->second;
    if (role.name == "output.weight" && config.tied_embeddings) {
      notices_.push_back(fmt::format("{}: tensor {} is left out: config.json says that the embedding is tied",
                                     shard->path(), theirs));
      continue;
    }
    const gguf::TensorType type = stored_type(*shard, *tensor);
    if (tensor->shape != role.shape) {
      fail(ErrorKind::kBadFile, "{}: tensor {}: expected the shape {} of config.json, found {}",
           shard->path(), theirs, safetensors::shape_text(role.shape),
           safetensors::shape_text(tensor->shape));
    }
    const std::vector<uint64_t> shape(role.shape.rbegin(), role.shape.rend());
    tensors_.push_back({role.name, type, shape, 0, tensor->bytes});
    origins_.push_back({shard, tensor, role.rotated_heads != 0 ? config.head_width() : 0, {}});
  }
}

void PublisherModel::read_metadata(const PublisherConfig& config, const JsonFields& config_fields) {
  constexpr uint32_t kQuantizationVersion = 2;
  uint64_t parameters = 0;
  for (const auto& tensor : tensors_) parameters += tensor.elements();

  metadata_.set("general.architecture", gguf::Value::of_string(config.architecture));
  metadata_.set("general.type", gguf::Value::of_string("model"));
  if (has("generation_config.json")) {
    const Json generation = read_json("generation_config.json");
    add_sampling(JsonFields(generation, file("generation_config.json")), metadata_);
  }
  add_name(config_fields.find_string("_name_or_path").value_or(""), repaired(published_name(directory_)),
           parameters, metadata_);
  if (has("README.md")) {
    files_.push_back(file("README.md"));
    add_model_card(read_card(files_.back()), parameters, metadata_);
  }
  add_hyperparameters(config, metadata_);
  metadata_.set("general.quantization_version", gguf::Value::of_uint32(kQuantizationVersion));

  const Json tokenizer = read_json("tokenizer.json");
  TokenizerFiles files{JsonFields(tokenizer, file("tokenizer.json")), {}, config_fields, {}};
  Json tokenizer_config;
  if (has("tokenizer_config.json")) {
    tokenizer_config = read_json("tokenizer_config.json");
    files.tokenizer_config.emplace(tokenizer_config, file("tokenizer_config.json"));
  }
  if (has("chat_template.jinja")) {
    files_.push_back(file("chat_template.jinja"));
    files.separate_template = read_template(files_.back());
  } else if (has("chat_template.json")) {
    const Json chat = read_json("chat_template.json");
    files.separate_template = JsonFields(chat, file("chat_template.json")).find_string("chat_template");
  }
  const bool llama = config.architecture == "llama";
  if (llama && files.tokenizer_config) {
    if (const auto prefix = files.tokenizer_config->find_bool("add_prefix_space"))
      metadata_.set("tokenizer.ggml.add_space_prefix", gguf::Value::of_bool(*prefix));
  }
  add_vocabulary(read_vocabulary(files.tokenizer, config.vocabulary), metadata_);
  add_special_tokens(files, config.vocabulary, metadata_);
  // The converter's rule for a family of small models, SmolLM among them, that take no token before a text.
  constexpr uint64_t kSmallVocabulary = 49152;
  if (llama && config.vocabulary == kSmallVocabulary)
    metadata_.set("tokenizer.ggml.add_bos_token", gguf::Value::of_bool(false));
  check_tokenizer(metadata_, file("tokenizer.json"));
}

const gguf::TensorInfo* PublisherModel::find_tensor(std::string_view name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                  [&](const gguf::TensorInfo& tensor) { return tensor.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

bool PublisherModel::reads_from(const std::string& path) const {
  return std::any_of(files_.begin(), files_.end(), [&](const std::string& name) {
    std::error_code error;
    return fs::equivalent(name, path, error);
  });
}

void PublisherModel::read_rows(const gguf::TensorInfo& tensor, uint64_t first_row, uint64_t rows,
                               std::span<std::byte> destination) const {
  const Origin& origin = origins_[static_cast<size_t>(&tensor - tensors_.data())];
  if (origin.file == nullptr) {
    std::memcpy(destination.data(),
                std::as_bytes(std::span(origin.values)).data() + first_row * tensor.row_bytes(),
                destination.size());
  } else if (tensor.shape.size() == 1 && origin.head_rows != 0) {
    const uint64_t elements = tensor.cols();
    read_units(origin, tensor.bytes / elements, 0, elements, destination);
  } else if (origin.head_rows != 0) {
    read_units(origin, tensor.row_bytes(), first_row, rows, destination);
  } else {
    origin.file->read(*origin.tensor, first_row * tensor.row_bytes(), destination);
  }
}

// Reads the heads in which the rows (or elements of a bias) lie, and picks those.
void PublisherModel::read_units(const Origin& origin, uint64_t unit_bytes, uint64_t first, uint64_t count,
                                std::span<std::byte> destination) const {
  const uint64_t begin = first / origin.head_rows * origin.head_rows;
  const uint64_t end = (first + count + origin.head_rows - 1) / origin.head_rows * origin.head_rows;
  std::vector<std::byte> stored((end - begin) * unit_bytes);
  origin.file->read(*origin.tensor, begin * unit_bytes, stored);
  for (uint64_t unit = 0; unit < count; ++unit) {
    const uint64_t source = source_row(first + unit, origin.head_rows) - begin;
    std::memcpy(destination.data() + unit * unit_bytes, stored.data() + source * unit_bytes, unit_bytes);
  }
}

}  // namespace stonechat
