#include "report_settings.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/sha256.h"
#include "model/kv_cache.h"
#include "quant/type_plan.h"
#include "report/builtin_text.h"
#include "report_tasks.h"
#include "text_input.h"

namespace stonechat {
namespace {

namespace fs = std::filesystem;

// What a report measures besides what the flags say.
struct Size {
  std::vector<std::string> types;
  std::vector<uint32_t> prompts, generates;
  uint32_t rounds;
  uint32_t windows;  // of a text; 0: all
};
const Size kFull = {{"q8_0", "q8_r", "q4_0"}, {256, 512, 560, 1024}, {50, 100, 200}, 5, 0};
const Size kQuick = {{"q8_0"}, {256, 512}, {50}, 3, 8};

constexpr uint32_t kWindow = 512, kBuiltinWindow = 256;
constexpr uint32_t kMemoryPrompt = 512, kMemoryGenerate = 64;

const Size& size_of(const ReportOptions& options) {
  return options.quick ? kQuick : kFull;
}

// What is longer than what the model was trained for becomes shorter, once.
std::vector<uint32_t> fitting(const std::vector<uint32_t>& tokens, uint32_t context) {
  std::vector<uint32_t> result;
  for (const uint32_t count : tokens) {
    const uint32_t cut = std::min(count, context);
    if (result.empty() || result.back() != cut) result.push_back(cut);
  }
  return result;
}

std::vector<PlannedVariant> variants_of(const ReportOptions& options, const ReportModels& models) {
  const std::string usual(name(kDefaultCache));
  std::vector<PlannedVariant> variants;
  const auto add = [&](const std::string& type, const std::string& cache) {
    const std::string title = cache == usual ? type : fmt::format("{} + {} cache", type, cache);
    variants.push_back({title, type, cache, models.path_of(type), models.file_bytes_of(type)});
  };
  for (const std::string& type : report_types(options)) {
    add(type, usual);
    if (variants.size() == 2) add(type, "q8_0");  // both kinds of cache with the first type
  }
  return variants;
}

PlannedText text_of(const ReportOptions& options, const ReportModels& models, const std::string& directory) {
  PlannedText text;
  const bool is_builtin = options.text.empty();
  text.name = is_builtin ? "built-in" : fs::path(options.text).filename().string();
  text.path = is_builtin ? directory + "/text.txt" : options.text;
  const std::string content = is_builtin ? std::string(builtin_text()) : read_text_file(options.text);
  text.sha256 = sha256_of_text(content);
  const uint32_t wanted = options.window != 0 ? options.window : is_builtin ? kBuiltinWindow : kWindow;
  text.window = std::min(wanted, models.config().context_length);
  text.windows = options.windows != 0 ? options.windows : size_of(options).windows;
  text.tokens = static_cast<double>(content.size()) / kBytesAToken;
  if (text.windows != 0) text.tokens = std::min(text.tokens, double{1} * text.windows * text.window);
  return text;
}

}  // namespace

std::vector<std::string> report_types(const ReportOptions& options) {
  std::vector<std::string> types = {"f32"};
  for (const std::string& type : options.types.empty() ? size_of(options).types : options.types) {
    if (!writable_type(type))
      fail(ErrorKind::kUsage, "--types: expected some of {}, got '{}'", writable_type_names(), type);
    if (std::find(types.begin(), types.end(), type) == types.end()) types.push_back(type);
  }
  return types;
}

ReportSettings report_settings(const ReportOptions& options, const ReportModels& models,
                               const std::string& directory) {
  const Size& size = size_of(options);
  const uint32_t context = models.config().context_length;
  ReportSettings settings;
  settings.variants = variants_of(options, models);
  settings.parameters = models.parameters();
  settings.threads = usable_processors();
  settings.prompts = fitting(size.prompts, context);
  settings.generates = fitting(size.generates, context);
  settings.rounds = options.rounds != 0 ? options.rounds : size.rounds;
  settings.memory_generate = std::min(kMemoryGenerate, context / 2);
  settings.memory_prompt = std::min(kMemoryPrompt, context - settings.memory_generate);
  settings.text = text_of(options, models, directory);
  settings.samples_directory = directory + "/samples";
  settings.answers_path = directory + "/answers.sqlite";
  if (options.data.empty()) {
    settings.left_out[ReportPart::kTasks] = "no data; --data names a folder with questions (docs/report.md)";
  } else {
    add_tasks(options.data, options.quick, options.limit, settings);
  }
  return settings;
}

}  // namespace stonechat
