#include <algorithm>
#include <filesystem>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/input_file.h"
#include "base/strict_json.h"
#include "report/results_json.h"

namespace stonechat {
namespace {

// What no measurement exceeds; keeps sums and squares of figures from a file finite.
constexpr double kMost = 1e18;
constexpr uint64_t kMostBytes = uint64_t{1} << 60;
constexpr size_t kMostEntries = 64;  // variants, tests, tasks, parts
constexpr size_t kMostSamples = 100000;

Estimate estimate_in(const JsonFields& json, double least, double most) {
  return {json.get_number("mean", least, most), json.get_number("standard_error", 0, kMost)};
}
Estimate estimate_of(const JsonFields& json) {
  return estimate_in(json, -kMost, kMost);
}
Estimate share_of(const JsonFields& json) {
  return estimate_in(json, 0, 1);
}
Estimate difference_of_shares(const JsonFields& json) {
  return estimate_in(json, -1, 1);
}
Interval ratio_of(const JsonFields& json) {
  Interval ratio{json.get_number("value", 0, kMost), json.get_number("low", 0, kMost),
                 json.get_number("high", 0, kMost)};
  constexpr double kRounding = 1e-9;  // the three need not come from one formula
  if (ratio.low > ratio.value * (1 + kRounding)) json.refuse("low", "at most 'value'");
  if (ratio.high < ratio.value * (1 - kRounding)) json.refuse("high", "at least 'value'");
  return ratio;
}

template <typename Read>
auto find(const JsonFields& json, const char* key, Read read) -> std::optional<decltype(read(json))> {
  const auto object = json.find_object(key);
  if (!object) return std::nullopt;
  return read(*object);
}

// Values by name; absent is empty.
template <typename Read>
auto map_of(const JsonFields& json, const char* key, Read read) {
  std::map<std::string, decltype(read(json, std::string()))> map;
  const auto object = json.find_object(key);
  if (!object) return map;
  if (object->json().size() > kMostEntries)
    json.refuse(key, fmt::format("an object of at most {} fields", kMostEntries));
  for (const auto& item : object->json().items()) map[item.key()] = read(*object, item.key());
  return map;
}

// An array of objects, no two of which have the same name.
template <typename Read, typename NameOf>
auto list_of(const JsonFields& json, const char* key, Read read, NameOf name_of) {
  std::vector<decltype(read(json))> list;
  std::set<std::string> names;
  if (json.get_array(key).size() > kMostEntries)
    json.refuse(key, fmt::format("an array of at most {}", kMostEntries));
  for (const JsonFields& object : json.get_objects(key)) {
    list.push_back(read(object));
    const std::string name = name_of(list.back());
    if (!names.insert(name).second) json.refuse(key, fmt::format("each name once (not '{}' twice)", name));
  }
  return list;
}

double not_negative(const JsonFields& json, const std::string& key) {
  return json.get_number(key, 0, kMost);
}

ReportMachine machine_of(const JsonFields& json) {
  ReportMachine machine;
  machine.cpu = json.get_string("cpu");
  machine.threads = static_cast<uint32_t>(json.get_uint("threads", 1, 1 << 20));
  machine.memory_bytes = json.get_uint("memory_bytes", 0, kMostBytes);
  machine.system = json.get_string("system");
  machine.version = json.get_string("version");
  machine.compiler = json.get_string("compiler");
  machine.kernels = json.get_string("kernels");
  machine.integer_gmacs = json.find_number("integer_gmacs", 0, kMost);
  machine.float_gmacs = json.find_number("float_gmacs", 0, kMost);
  machine.read_gbs = json.find_number("read_gbs", 0, kMost);
  return machine;
}

ReportModel model_of(const JsonFields& json) {
  ReportModel model;
  model.argument = json.get_string("argument");
  model.description = json.get_string("description");
  model.parameters = json.get_uint("parameters", 0, kMostBytes);
  model.sha256 = json.get_string("sha256");
  if (model.sha256.size() != 64 || model.sha256.find_first_not_of("0123456789abcdef") != std::string::npos)
    json.refuse("sha256", "64 digits from 0 to f");
  return model;
}

std::vector<uint32_t> rounds_of(const JsonFields& json, size_t samples) {
  std::vector<uint32_t> rounds;
  const Json* numbers = json.find_array("rounds");
  if (numbers == nullptr) {
    rounds.resize(samples);
    std::iota(rounds.begin(), rounds.end(), 1U);
    return rounds;
  }
  if (numbers->size() != samples) json.refuse("rounds", "one for each sample");
  for (const Json& number : *numbers) {
    const uint64_t round = number.is_number_unsigned() ? number.get<uint64_t>() : 0;
    if (round <= (rounds.empty() ? 0 : rounds.back()) || round > kMostSamples)
      json.refuse("rounds", fmt::format("ascending integers from 1 to {}", kMostSamples));
    rounds.push_back(static_cast<uint32_t>(round));
  }
  return rounds;
}

ReportSpeed speed_of(const JsonFields& json) {
  ReportSpeed speed;
  speed.test = json.get_string("test");
  speed.prompt = static_cast<uint32_t>(json.get_uint("prompt", 0, UINT32_MAX));
  speed.generate = static_cast<uint32_t>(json.get_uint("generate", 0, UINT32_MAX));
  if (speed.prompt == 0 && speed.generate == 0) json.refuse("generate", "tokens to read or to generate");
  const Json& samples = json.get_array("samples");
  if (samples.empty() || samples.size() > kMostSamples)
    json.refuse("samples", fmt::format("an array of 1 to {}", kMostSamples));
  for (const Json& sample : samples) {
    const double value = sample.is_number() ? sample.get<double>() : 0;
    // Below the smallest, logarithms and ratios of speeds have no use any more.
    if (!(value >= 1 / kMost && value <= kMost)) json.refuse("samples", "numbers above 0");
    speed.samples.push_back(value);
  }
  speed.rounds = rounds_of(json, samples.size());
  speed.limit_share = json.find_number("limit_share", 0, kMost);
  speed.limit = json.find_string("limit").value_or("");
  return speed;
}

MemorySeries series_of(const JsonFields& json) {
  return {json.get_uint("minimum", 0, kMostBytes), json.get_uint("median", 0, kMostBytes),
          json.get_uint("p95", 0, kMostBytes), json.get_uint("peak", 0, kMostBytes)};
}

ReportMemory memory_of(const JsonFields& json) {
  ReportMemory memory;
  memory.context = static_cast<uint32_t>(json.get_uint("context", 0, UINT32_MAX));
  memory.series = map_of(json, "series", [](const JsonFields& fields, const std::string& key) {
    return series_of(fields.get_object(key));
  });
  memory.parts = map_of(json, "parts", [](const JsonFields& fields, const std::string& key) {
    return fields.get_uint(key, 0, kMostBytes);
  });
  return memory;
}

ReportText text_of(const JsonFields& json) {
  ReportText text;
  text.text = json.get_string("text");
  text.window = static_cast<uint32_t>(json.get_uint("window", 0, UINT32_MAX));
  text.windows = json.get_uint("windows", 0, kMostBytes);
  text.tokens = json.get_uint("tokens", 0, kMostBytes);
  text.perplexity = estimate_of(json.get_object("perplexity"));
  if (!(text.perplexity.mean > 0)) json.refuse("perplexity", "a mean above 0");
  text.log_perplexity_ratio = find(json, "log_perplexity_ratio", estimate_of);
  text.kl = find(json, "kl", estimate_of);
  text.kl_percentiles = map_of(json, "kl_percentiles", not_negative);
  text.same_top = find(json, "same_top", share_of);
  text.top5_overlap = find(json, "top5_overlap", share_of);
  text.probability_difference = find(json, "probability_difference", difference_of_shares);
  return text;
}

ReportTask task_of(const JsonFields& json) {
  ReportTask task;
  task.task = json.get_string("task");
  task.shots = static_cast<uint32_t>(json.get_uint("shots", 0, UINT32_MAX));
  task.questions = json.get_uint("questions", 1, kMostBytes);
  task.acc = share_of(json.get_object("acc"));
  task.acc_norm = share_of(json.get_object("acc_norm"));
  task.acc_macro = find(json, "acc_macro", share_of);
  task.acc_norm_macro = find(json, "acc_norm_macro", share_of);
  task.kept = find(json, "kept", ratio_of);
  task.kept_norm = find(json, "kept_norm", ratio_of);
  return task;
}

ReportVariant variant_of(const JsonFields& json) {
  ReportVariant variant;
  variant.name = json.get_string("name");
  variant.weights = json.get_string("weights");
  variant.cache = json.get_string("cache");
  variant.weights_bytes = json.get_uint("weights_bytes", 0, kMostBytes);
  const auto is_reference = json.find_bool("reference");
  if (!is_reference) json.refuse("reference", "true or false");
  variant.is_reference = *is_reference;
  variant.speeds = list_of(json, "speeds", speed_of, [](const ReportSpeed& speed) { return speed.test; });
  variant.memory = find(json, "memory", memory_of);
  variant.text = find(json, "text", text_of);
  variant.tasks = list_of(json, "tasks", task_of, [](const ReportTask& task) {
    return fmt::format("{}, {} shots", task.task, task.shots);
  });
  return variant;
}

}  // namespace

ReportResults parse_results_json(const std::string& text, const std::string& where) {
  const Json root = parse_strict_json(text, where);
  if (!root.is_object())
    fail(ErrorKind::kBadFile, "{}: expected a JSON object, found {}", where, json_text(root));
  const JsonFields json(root, where);
  if (json.get_uint("schema", 0, UINT64_MAX) != kResultsSchema)
    json.refuse("schema", fmt::format("{}, which is all that this version reads", kResultsSchema));
  ReportResults results;
  results.started = json.get_string("started");
  results.seconds = json.get_number("seconds", 0, kMost);
  results.command = json.find_string("command").value_or("");
  results.part_seconds = map_of(json, "part_seconds", not_negative);
  results.quick = json.find_bool("quick").value_or(false);
  results.machine = machine_of(json.get_object("machine"));
  results.model = model_of(json.get_object("model"));
  results.variants =
      list_of(json, "variants", variant_of, [](const ReportVariant& variant) { return variant.name; });
  const auto references = std::count_if(results.variants.begin(), results.variants.end(),
                                        [](const ReportVariant& variant) { return variant.is_reference; });
  if (references != 1)
    fail(ErrorKind::kBadFile, "{}: variants: expected one with reference true, found {}", where, references);
  results.missing = map_of(json, "missing", [](const JsonFields& fields, const std::string& key) {
    return fields.get_string(key);
  });
  return results;
}

ReportResults read_results(const std::string& path) {
  const bool is_directory = std::filesystem::is_directory(path);
  const InputFile file(is_directory ? path + "/results.json" : path);
  if (file.bytes() > kMostJsonBytes) {
    fail(ErrorKind::kBadFile, "{}: expected at most {} bytes of JSON, found {}", file.path(), kMostJsonBytes,
         file.bytes());
  }
  return parse_results_json(file.read_all(), file.path());
}

}  // namespace stonechat
