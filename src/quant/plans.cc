#include "quant/plans.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "base/error.h"
#include "quant/decode.h"
#include "quant/rounding.h"

namespace stonechat {
namespace {

constexpr const char* kEmbedding = "token_embd.weight";
constexpr const char* kHead = "output.weight";

bool is_matrix(const gguf::TensorInfo& tensor) {
  return tensor.shape.size() > 1;
}

// Matrices by name, vectors as F32.
RewritePlan plan_for(const gguf::ModelSource& file,
                     const std::function<gguf::TensorType(const gguf::TensorInfo&)>& type_of) {
  check_is_model(file);
  RewritePlan plan;
  plan.metadata = file.metadata();
  std::map<gguf::TensorType, uint64_t> elements_of;
  for (const auto& tensor : file.tensors()) {
    const gguf::TensorType type = is_matrix(tensor) ? type_of(tensor) : gguf::TensorType::kF32;
    plan.tensors.push_back({tensor.name, &tensor, type});
    elements_of[type] += tensor.elements();
  }
  const auto most = std::max_element(elements_of.begin(), elements_of.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  plan.metadata.set("general.file_type", gguf::Value::of_uint32(file_type_number(most->first)));
  return plan;
}

void check_rules_fit(const gguf::ModelSource& file, const TypePlan& types) {
  for (const TypeRule& rule : types.rules) {
    const bool fits = std::any_of(file.tensors().begin(), file.tensors().end(), [&](const auto& tensor) {
      return is_matrix(tensor) && fits_pattern(rule.tensors, tensor.name);
    });
    if (!fits) fail(ErrorKind::kUsage, "pattern '{}': fits no matrix of {}", rule.tensors, file.path());
  }
}

// Two tensors came from the same values if they differ by no more than what rounding to each can do: half a
// step of the finer format, and for the coarser one half a step within its range and up to two at its end.
// One of these because formats of an even number of codes have no code for the largest value (Q5_0's are -16
// .. 15), one because quantizers shorten the scale by up to a step where that lowers the mean error. A little
// is added for the rounding of scales to binary16, at most 2^-11 of up to 32 steps.
constexpr float kCoarseSteps = 2.0F + 32 * 0x1p-11F;
constexpr float kFineSteps = 0.5F + 128 * 0x1p-11F;

void check_same_values(const gguf::ModelSource& file, const gguf::TensorInfo& fine,
                       const gguf::TensorInfo& coarse, ThreadPool& pool) {
  const uint64_t cols = fine.cols();
  const uint64_t rows_at_once = std::max<uint64_t>(1, (uint64_t{1} << 16) / cols);
  pool.for_each_chunk(fine.rows(), rows_at_once, [&](uint64_t begin, uint64_t end) {
    std::vector<std::byte> stored;
    std::vector<float> values[2];
    std::vector<float> steps[2];
    const gguf::TensorInfo* tensors[2] = {&fine, &coarse};
    // Row by row, as one thread gets all rows at once.
    for (uint64_t row = begin; row < end; ++row) {
      for (int which = 0; which < 2; ++which) {
        const gguf::TensorInfo& tensor = *tensors[which];
        stored.resize(tensor.row_bytes());
        values[which].resize(cols);
        steps[which].resize(cols);
        file.read_rows(tensor, row, 1, stored);
        decode(tensor.type, stored.data(), cols, values[which].data());
        rounding_steps(tensor.type, stored.data(), cols, steps[which].data());
      }
      for (uint64_t i = 0; i < cols; ++i) {
        const float difference = std::fabs(values[0][i] - values[1][i]);
        const float allowed = kFineSteps * steps[0][i] + kCoarseSteps * steps[1][i];
        if (difference <= allowed) continue;
        fail(ErrorKind::kBadFile,
             "{}: tensors {} and {} are not the same values: at row {}, column {} they differ by {:.3g}, "
             "rounding explains at most {:.3g}",
             file.path(), fine.name, coarse.name, row, i, difference, allowed);
      }
    }
  });
}

// Leaves one embedding in the plan; returns what was done.
std::string tie_embeddings(const gguf::ModelSource& file, RewritePlan& plan, ThreadPool& pool) {
  const gguf::TensorInfo* embedding = file.find_tensor(kEmbedding);
  const gguf::TensorInfo* head = file.find_tensor(kHead);
  if (embedding == nullptr) fail(ErrorKind::kBadFile, "{}: tensor {} is missing", file.path(), kEmbedding);
  if (head == nullptr)
    return fmt::format("{}: no separate {}: the embedding is tied already", file.path(), kHead);
  if (head->shape != embedding->shape) {
    fail(ErrorKind::kBadFile, "{}: tensor {}: expected the shape of {}, {}, found {}", file.path(), kHead,
         kEmbedding, gguf::shape_text(embedding->shape), gguf::shape_text(head->shape));
  }
  const bool head_is_finer = precision_rank(head->type) > precision_rank(embedding->type);
  const gguf::TensorInfo& fine = head_is_finer ? *head : *embedding;
  const gguf::TensorInfo& coarse = head_is_finer ? *embedding : *head;
  check_same_values(file, fine, coarse, pool);
  std::erase_if(plan.tensors, [](const RewritePlanEntry& entry) { return entry.name == kHead; });
  for (auto& entry : plan.tensors) {
    if (entry.name == kEmbedding) entry.source = &fine;
  }
  return fmt::format(
      "{} and {} are the same values: {} takes those of {} ({}, the other has {}), {} is dropped", kEmbedding,
      kHead, kEmbedding, fine.name, gguf::name(fine.type), gguf::name(coarse.type), kHead);
}

}  // namespace

RewritePlan convert_plan(const gguf::ModelSource& file, gguf::TensorType type, bool tie, ThreadPool& pool,
                         std::string& notice) {
  RewritePlan plan = plan_for(file, [type](const auto&) { return type; });
  // It says how codes are stored, and none are left. A file of floats that has it keeps it.
  const bool had_codes = std::any_of(file.tensors().begin(), file.tensors().end(), [](const auto& tensor) {
    return tensor.type != gguf::TensorType::kF32 && tensor.type != gguf::TensorType::kF16 &&
           tensor.type != gguf::TensorType::kBF16;
  });
  if (had_codes) plan.metadata.erase("general.quantization_version");
  if (tie) notice = tie_embeddings(file, plan, pool);
  return plan;
}

RewritePlan quantize_plan(const gguf::ModelSource& file, const TypePlan& types) {
  constexpr uint32_t kQuantizationVersion = 2;
  RewritePlan plan = plan_for(file, [&](const gguf::TensorInfo& tensor) {
    const auto type = types.type_of(tensor.name);
    if (!type)
      fail(ErrorKind::kUsage, "tensor {}: no pattern fits it, and no type is given for the rest",
           tensor.name);
    return *type;
  });
  check_rules_fit(file, types);
  plan.metadata.set("general.quantization_version", gguf::Value::of_uint32(kQuantizationVersion));
  for (const auto& entry : plan.tensors) {
    const uint32_t block = info(entry.type).block_elements;
    if (entry.source->cols() % block != 0) {
      fail(ErrorKind::kBadFile, "{}: tensor {}: expected columns in multiples of {} for {}, found {}",
           file.path(), entry.name, block, gguf::name(entry.type), entry.source->cols());
    }
  }
  return plan;
}

}  // namespace stonechat
