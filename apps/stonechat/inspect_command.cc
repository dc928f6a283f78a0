// `stonechat inspect`: what is in a GGUF file.
#include <map>
#include <memory>
#include <optional>

#include "base/characters.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory_parts.h"
#include "commands.h"
#include "kernels/dispatch.h"
#include "loaded_model.h"
#include "model/memory_estimate.h"
#include "model/packed_file.h"
#include "model/tuning.h"
#include "model_argument.h"
#include "quant/schemes.h"

namespace stonechat {
namespace {

constexpr size_t kShownElements = 8;     // of an array
constexpr size_t kShownCharacters = 72;  // of a text

struct InspectOptions {
  std::string file;
  bool json = false;
  bool tensors = false;
};

struct TypeSum {
  uint64_t tensors = 0;
  uint64_t parameters = 0;
  uint64_t bytes = 0;
};

// Packs are plain bytes: their parameters aren't the file's elements.
std::map<std::string_view, TypeSum> sum_by_type(const gguf::Reader& file) {
  std::map<std::string_view, TypeSum> sums;
  for (const auto& tensor : file.tensors()) {
    TypeSum& sum = sums[gguf::name(tensor.type)];
    ++sum.tensors;
    if (tensor.type != gguf::TensorType::kI8) sum.parameters += tensor.elements();
    sum.bytes += tensor.bytes;
  }
  return sums;
}

const Scheme* scheme_of(std::string_view type_name) {
  for (const Scheme& scheme : schemes()) {
    if (gguf::name(scheme.type) == type_name) return &scheme;
  }
  return nullptr;
}

std::string shortened(const std::string& text) {
  return std::string(whole_characters(text, kShownCharacters)) + "...";
}

// A scalar, or the first elements of an array.
OrderedJson value_json(const gguf::Value& value) {
  if (value.type == gguf::ValueType::kArray) {
    return std::visit(
        [&](const auto& elements) {
          OrderedJson first = OrderedJson::array();
          for (size_t i = 0; i < std::min(kShownElements, elements.size()); ++i) first.push_back(elements[i]);
          return OrderedJson{{"type", fmt::format("array of {}", gguf::name(value.element_type))},
                             {"count", elements.size()},
                             {"first", first}};
        },
        std::get<gguf::Array>(value.data));
  }
  if (value.type == gguf::ValueType::kBool) return std::get<int64_t>(value.data) != 0;
  if (value.type == gguf::ValueType::kUint64) return static_cast<uint64_t>(std::get<int64_t>(value.data));
  if (const auto* integer = std::get_if<int64_t>(&value.data)) return *integer;
  if (const auto* number = std::get_if<double>(&value.data)) return *number;
  return std::get<std::string>(value.data);
}

// JSON spells the control characters of ASCII itself.
std::string value_text(const gguf::Value& value) {
  if (value.type == gguf::ValueType::kArray) {
    const OrderedJson json = value_json(value);
    std::string first = dump_json(json["first"]);
    if (first.size() > kShownCharacters) first = shortened(first);
    return fmt::format("{} {} {}", json["count"].get<size_t>(), json["type"].get<std::string>().substr(9),
                       printable(first));
  }
  const std::string text = dump_json(value_json(value));
  return text.size() <= kShownCharacters
             ? printable(text)
             : fmt::format("{} ({} bytes)", printable(shortened(text)), text.size());
}

std::optional<PackedInfo> packed_info(const gguf::Reader& file) {
  return is_packed(file.metadata()) ? std::optional(PackedInfo::from(file.metadata())) : std::nullopt;
}

// The memory of a run, for a model that we can run; otherwise why not.
struct RunEstimate {
  uint32_t context = 0;
  uint64_t weights_bytes = 0;
  uint64_t cache_bytes = 0;       // of the default types
  uint64_t code_cache_bytes = 0;  // in 8 bits
  uint64_t activation_bytes = 0;  // and logits
  std::string obstacle;           // empty: none

  uint64_t total() const { return weights_bytes + cache_bytes + activation_bytes; }
};

RunEstimate estimate_run(const gguf::Reader& file) {
  try {
    if (is_packed(file.metadata())) check_packed_for(file.metadata(), kernels());
    const ModelConfig config = ModelConfig::from(file);
    const uint32_t context = context_for(config, 0);
    RunShape shape{.tokens = context, .pass_tokens = context};
    const MemoryByPart parts = estimate_memory(file, config, kernels(), shape).parts;
    shape.cache = {kCacheQ8, kCacheQ8};
    const MemoryByPart code_parts = estimate_memory(file, config, kernels(), shape).parts;
    return {.context = context,
            .weights_bytes = parts[MemoryPart::kWeights],
            .cache_bytes = parts[MemoryPart::kKvCache],
            .code_cache_bytes = code_parts[MemoryPart::kKvCache],
            .activation_bytes = parts[MemoryPart::kActivations] + parts[MemoryPart::kLogits],
            .obstacle = ""};
  } catch (const Error& error) {
    return {.obstacle = error.what()};
  }
}

void print_json(const InspectOptions& options, const gguf::Reader& file) {
  OrderedJson json = {{"file", file.path()},
                      {"bytes", file.file().bytes()},
                      {"version", file.version()},
                      {"alignment", file.alignment()}};
  json["metadata"] = OrderedJson::object();
  for (const auto& entry : file.metadata().entries()) json["metadata"][entry.key] = value_json(entry.value);
  uint64_t parameters = 0;
  uint64_t bytes = 0;
  json["types"] = OrderedJson::object();
  for (const auto& [type, sum] : sum_by_type(file)) {
    OrderedJson& shown = json["types"][std::string(type)];
    shown = {{"tensors", sum.tensors}, {"parameters", sum.parameters}, {"bytes", sum.bytes}};
    if (const Scheme* scheme = scheme_of(type)) {
      shown["scheme"] = scheme->name;
      shown["scale"] = scheme->scale;
      shown["formula"] = scheme->formula;
    }
    parameters += sum.parameters;
    bytes += sum.bytes;
  }
  if (const auto packed = packed_info(file)) {
    parameters = packed->parameters;
    json["packed"] = {
        {"isa", packed->isa}, {"source_type", packed->source_type}, {"source_bytes", packed->source_bytes}};
  }
  json["tensor_count"] = file.tensors().size();
  json["parameters"] = parameters;
  json["tensor_bytes"] = bytes;
  const RunEstimate run = estimate_run(file);
  if (run.obstacle.empty()) {
    json["run"] = {{"context", run.context},
                   {"weights_bytes", run.weights_bytes},
                   {"cache_bytes", run.cache_bytes},
                   {"cache_type", name(kDefaultCache)},
                   {"cache_q8_0_bytes", run.code_cache_bytes},
                   {"activation_bytes", run.activation_bytes},
                   {"total_bytes", run.total()}};
  } else {
    json["run"] = {{"error", run.obstacle}};
  }
  if (options.tensors) {
    json["tensors"] = OrderedJson::array();
    for (const auto& tensor : file.tensors()) {
      json["tensors"].push_back({{"name", tensor.name},
                                 {"type", gguf::name(tensor.type)},
                                 {"shape", tensor.shape},
                                 {"offset", tensor.offset},
                                 {"bytes", tensor.bytes}});
    }
  }
  fmt::print("{}\n", dump_json(json, 2));
}

void print_text(const InspectOptions& options, const gguf::Reader& file) {
  fmt::print("{}\nGGUF version {}, alignment {}, {:.2f} MiB\n\n", printable(file.path()), file.version(),
             file.alignment(), mebibytes(file.file().bytes()));
  for (const auto& entry : file.metadata().entries())
    fmt::print("{:<44} {}\n", printable(entry.key), value_text(entry.value));
  if (options.tensors) {
    fmt::print("\n{:<36} {:<6} {:<20} {:>14}\n", "tensor", "type", "shape", "bytes");
    for (const auto& tensor : file.tensors()) {
      fmt::print("{:<36} {:<6} {:<20} {:>14}\n", printable(tensor.name), gguf::name(tensor.type),
                 gguf::shape_text(tensor.shape), tensor.bytes);
    }
  }
  fmt::print("\n{:<8} {:>8} {:>14} {:>14}\n", "type", "tensors", "parameters", "size");
  TypeSum total;
  for (const auto& [type, sum] : sum_by_type(file)) {
    fmt::print("{:<8} {:>8} {:>12.2f} M {:>10.2f} MiB\n", type, sum.tensors,
               static_cast<double>(sum.parameters) / 1e6, mebibytes(sum.bytes));
    total.tensors += sum.tensors;
    total.parameters += sum.parameters;
    total.bytes += sum.bytes;
  }
  fmt::print("{:<8} {:>8} {:>12.2f} M {:>10.2f} MiB\n", "all", total.tensors,
             static_cast<double>(total.parameters) / 1e6, mebibytes(total.bytes));
  for (const auto& [type, sum] : sum_by_type(file)) {
    if (const Scheme* scheme = scheme_of(type))
      fmt::print("\n{}: one scale for each {}; {}\n", type, scheme->scale, scheme->formula);
  }
  if (const auto packed = packed_info(file)) {
    fmt::print("\npacked for the kernels {} from {:.2f} M parameters, most of them {}, {:.2f} MiB\n",
               printable(packed->isa), static_cast<double>(packed->parameters) / 1e6,
               printable(packed->source_type), mebibytes(packed->source_bytes));
  }
  const RunEstimate run = estimate_run(file);
  if (!run.obstacle.empty()) {
    fmt::print("\ncannot be run: {}\n", printable(run.obstacle));
    return;
  }
  fmt::print(
      "\na run with {} tokens of context takes about {:.0f} MiB: weights {:.0f}, cache {:.0f} in {} "
      "({:.0f} in q8_0), activations {:.0f}\n",
      run.context, mebibytes(run.total()), mebibytes(run.weights_bytes), mebibytes(run.cache_bytes),
      name(kDefaultCache), mebibytes(run.code_cache_bytes), mebibytes(run.activation_bytes));
}

void inspect(const InspectOptions& options) {
  const gguf::Reader file(resolve_model(options.file));
  options.json ? print_json(options, file) : print_text(options, file);
}

}  // namespace

void add_inspect_command(Command& app) {
  Command* command =
      app.add_subcommand("inspect", "Show a model file's metadata, tensors, sizes and memory need");
  auto options = std::make_shared<InspectOptions>();
  command->add_option("file", options->file, kModelHelp)->required();
  command->add_flag("--tensors", options->tensors, "List the tensors");
  command->add_flag("--json", options->json, "Print one JSON object");
  command->callback([options] { inspect(*options); });
}

}  // namespace stonechat
