#include "report_models.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/child_process.h"
#include "base/error.h"
#include "base/memory_parts.h"
#include "gguf/reader.h"
#include "hub/catalog.h"
#include "hub/environment.h"
#include "loaded_model.h"
#include "model_argument.h"
#include "quant/plans.h"
#include "quant/type_plan.h"
#include "report_hash.h"

namespace stonechat {
namespace {

namespace fs = std::filesystem;

constexpr const char* kReferenceType = "f32";
// Bytes written a second, for the first prediction.
constexpr double kConvertBytes = 200e6, kQuantizeBytes = 70e6;

std::string name_of(const std::string& argument, const std::string& path) {
  const bool is_path = path == argument;
  std::string name = is_path ? fs::path(argument).lexically_normal().stem().string() : argument;
  if (name.starts_with("hf:")) name = fs::path(name).stem().string();
  for (char& character : name) {
    if (!std::isalnum(static_cast<unsigned char>(character)) && character != '.' && character != '_')
      character = '-';
  }
  while (name.starts_with('.')) name.erase(0, 1);
  return name.empty() ? "model" : name;
}

bool is_as_new_as_program(const std::string& path) {
  std::error_code error;
  const auto time = fs::last_write_time(path, error);
  return !error && time >= fs::last_write_time(fs::canonical(kThisProgram));
}

bool is_all_f32(const gguf::ModelSource& source) {
  return std::all_of(source.tensors().begin(), source.tensors().end(),
                     [](const auto& tensor) { return tensor.type == gguf::TensorType::kF32; });
}

}  // namespace

ReportModels::ReportModels(const std::string& argument, const std::string& cache) {
  std::error_code error;
  path_ = fs::exists(argument, error) ? argument : pull_model(argument, HubContent::kAnyModel);
  name_ = name_of(argument, path_);
  sha256_ = sha256_of_path(path_);
  constexpr size_t kHashDigits = 16;
  const std::string directory = cache.empty() ? HubEnvironment::read().own_cache + "/report" : cache;
  folder_ = fmt::format("{}/{}", directory, sha256_.substr(0, kHashDigits));
  ThreadPool pool(usable_processors());
  std::string notice;
  if (is_there(kReferenceType)) {
    source_ = std::make_unique<gguf::Reader>(path_of(kReferenceType));
    plan_ = convert_plan(*source_, gguf::TensorType::kF32, false, pool, notice);
  } else {
    source_ = open_model_source(path_);
    tie_embeddings_ = source_->find_tensor("output.weight") != nullptr;
    if (tie_embeddings_) {
      try {
        plan_ = convert_plan(*source_, gguf::TensorType::kF32, true, pool, notice);
      } catch (const Error& refused) {
        if (refused.kind() != ErrorKind::kBadFile) throw;
        tie_embeddings_ = false;  // the head is a matrix of its own
      }
    }
    if (!tie_embeddings_) plan_ = convert_plan(*source_, gguf::TensorType::kF32, false, pool, notice);
    is_f32_ = !tie_embeddings_ && !fs::is_directory(path_) && is_all_f32(*source_);
  }
  config_ = ModelConfig::from(*source_);
}

std::string ReportModels::description() const {
  return fmt::format("{} {}", config_.architecture, parameters_text(parameters()));
}

std::string ReportModels::path_of(const std::string& type) const {
  return is_f32_ && type == kReferenceType ? path_ : fmt::format("{}/{}.gguf", folder_, type);
}

RewritePlan ReportModels::plan_for(const std::string& type) const {
  RewritePlan plan = plan_;
  for (auto& entry : plan.tensors) {
    if (entry.source->shape.size() > 1) entry.type = *writable_type(type);
  }
  return plan;
}

uint64_t ReportModels::file_bytes_of(const std::string& type) const {
  return plan_for(type).predicted_bytes();
}

uint64_t ReportModels::tensor_bytes_of(const std::string& type) const {
  return plan_for(type).tensor_bytes();
}

bool ReportModels::is_there(const std::string& type) const {
  return is_as_new_as_program(path_of(type));
}

std::vector<ReportStep> ReportModels::missing(const std::vector<std::string>& types) const {
  std::vector<ReportStep> steps;
  const auto add = [&](const std::string& type, std::vector<std::string> arguments, double guess) {
    ReportStep& step = steps.emplace_back();
    step.key = "models/" + type;
    step.kind = step.key;
    step.label = "making " + type;
    step.arguments = std::move(arguments);
    step.inputs = type;
    step.guess = guess;
  };
  const bool needs_reference = std::any_of(types.begin(), types.end(), [&](const std::string& type) {
    return type == kReferenceType || !is_there(type);
  });
  if (needs_reference && !is_f32_ && !is_there(kReferenceType)) {
    std::vector<std::string> arguments = {"convert", path_, path_of(kReferenceType), "--to", kReferenceType};
    if (tie_embeddings_) arguments.push_back("--tie-embeddings");
    add(kReferenceType, std::move(arguments),
        static_cast<double>(file_bytes_of(kReferenceType)) / kConvertBytes);
  }
  for (const std::string& type : types) {
    if (type == kReferenceType || is_there(type)) continue;
    add(type, {"quantize", path_of(kReferenceType), path_of(type), "--type", type},
        static_cast<double>(file_bytes_of(type)) / kQuantizeBytes);
  }
  return steps;
}

void ReportModels::prepare(const std::vector<ReportStep>& steps) const {
  if (steps.empty()) return;
  make_directories(folder_);
  uint64_t needed = 0;
  for (const ReportStep& step : steps) {
    if (step.part == ReportPart::kModels) needed += file_bytes_of(step.inputs);
  }
  const uint64_t free = fs::space(folder_).available;
  if (needed > free) {
    fail(ErrorKind::kIo, "{}: expected {:.0f} MiB free for the model's files, found {:.0f} MiB", folder_,
         std::ceil(mebibytes(needed)), std::floor(mebibytes(free)));
  }
}

}  // namespace stonechat
