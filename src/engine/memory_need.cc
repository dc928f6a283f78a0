#include "engine/memory_need.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "gguf/types.h"
#include "kernels/kernel_table.h"
#include "model/packed_file.h"
#include "tokenizer/tokenizer.h"

namespace stonechat {
namespace {

constexpr uint32_t kFewTokens = kKeyStep;  // a context of less is no use, and caches grow by so many

// A run that ends when so many tokens are in the caches.
RunShape with_tokens(RunShape shape, uint32_t tokens) {
  tokens = std::min(tokens, shape.tokens);
  shape.tokens = tokens;
  shape.pass_tokens = std::min(shape.pass_tokens, uint64_t{tokens} * shape.sequences);
  shape.hidden_rows = std::min(shape.hidden_rows, tokens * shape.sequences);
  shape.logits_rows = std::min(shape.logits_rows, shape.hidden_rows);
  return shape;
}

class RoomCheck {
 public:
  RoomCheck(const gguf::Reader& file, const ModelConfig& config, const KernelTable& kernels,
            const RunNeed& need, const MemoryRoom& room)
      : file_(file), config_(config), kernels_(kernels), need_(need), room_(room) {}

  uint64_t needed(const RunShape& shape) const {
    const MemoryEstimate estimate = estimate_run(file_, config_, kernels_, shape);
    const uint64_t reclaimable = is_packed(file_.metadata()) ? estimate.parts[MemoryPart::kWeights] : 0;
    return estimate.peak() - reclaimable + need_.besides;
  }
  bool fits(const RunShape& shape) const { return needed(shape) <= room_.bytes; }

  // "needs 605 MB of memory (weights 525, KV cache 51, the rest 29), but the system has ..."
  std::string told(const RunShape& shape) const {
    const MemoryByPart parts = estimate_run(file_, config_, kernels_, shape).parts;
    const uint64_t all = needed(shape);
    const uint64_t weights = is_packed(file_.metadata()) ? 0 : parts[MemoryPart::kWeights];
    const uint64_t cache = parts[MemoryPart::kKvCache];
    const std::string other =
        need_.besides == 0 ? "" : fmt::format("the other model {:.0f}, ", megabytes(need_.besides));
    return fmt::format(
        "needs {:.0f} MB of memory (weights {:.0f}, KV cache {:.0f}, {}the rest {:.0f}), but {}",
        megabytes(all), megabytes(weights), megabytes(cache), other,
        megabytes(all - std::min(all, weights + cache + need_.besides)), room_.source);
  }

  std::string what_fits() const {
    std::vector<std::string> ways;
    const RunShape& shape = need_.shape;
    if (const uint32_t tokens = most_tokens(); tokens != 0)
      ways.push_back(fmt::format("a context of {} tokens", tokens));
    RunShape codes = shape;
    codes.cache = {kCacheQ8, kCacheQ8};
    if (shape.cache != codes.cache && fits(codes))
      ways.emplace_back("a cache of 8 bits (-ctk q8_0 -ctv q8_0)");
    for (const auto& [type, flag] :
         {std::pair{gguf::TensorType::kQ8_0, "q8_0"}, {gguf::TensorType::kQ4_0, "q4_0"}}) {
      if (!fits_with_weights(type)) continue;
      ways.push_back(fmt::format("weights in {} (stonechat quantize --type {})", flag, flag));
      break;
    }
    if (ways.empty()) return "no context, cache or type of weights would fit";
    std::string text = "what would fit: " + ways[0];
    for (size_t i = 1; i < ways.size(); ++i) text += (i + 1 == ways.size() ? ", or " : ", ") + ways[i];
    return text;
  }

  // The longest context that fits, shorter than what was asked for; 0: none.
  uint32_t most_tokens() const {
    uint32_t fitting = 0;
    uint32_t too_many = need_.shape.tokens / kFewTokens + (need_.shape.tokens % kFewTokens != 0 ? 1 : 0);
    while (fitting + 1 < too_many) {
      const uint32_t middle = fitting + (too_many - fitting) / 2;
      (fits(with_tokens(need_.shape, middle * kFewTokens)) ? fitting : too_many) = middle;
    }
    return fitting * kFewTokens;
  }

 private:
  bool fits_with_weights(gguf::TensorType type) const {
    if (is_packed(file_.metadata())) return false;
    uint64_t bytes = 0;
    for (const gguf::TensorInfo& tensor : file_.tensors()) {
      if (tensor.shape.size() > 1) bytes += tensor.rows() * gguf::row_bytes(type, tensor.cols());
    }
    const uint64_t now = estimate_run(file_, config_, kernels_, need_.shape).parts[MemoryPart::kWeights];
    return bytes < now && needed(need_.shape) - now + bytes <= room_.bytes;
  }

  const gguf::Reader& file_;
  const ModelConfig& config_;
  const KernelTable& kernels_;
  const RunNeed& need_;
  const MemoryRoom& room_;
};

}  // namespace

MemoryEstimate estimate_run(const gguf::Reader& file, const ModelConfig& config, const KernelTable& kernels,
                            const RunShape& shape) {
  MemoryEstimate estimate = estimate_memory(file, config, kernels, shape);
  estimate.parts[MemoryPart::kTokenizer] = Tokenizer::estimate_bytes(file.metadata());
  return estimate;
}

void check_room(const gguf::Reader& file, const ModelConfig& config, const KernelTable& kernels,
                const RunNeed& need, const MemoryRoom& room,
                const std::function<void(const std::string&)>& notice) {
  const RoomCheck check(file, config, kernels, need, room);
  if (check.fits(need.shape)) return;
  if (!need.fills_cache && check.fits(with_tokens(need.shape, kFewTokens))) {
    notice(fmt::format("{}: a full context of {} tokens {}; {} tokens fit", file.path(), need.shape.tokens,
                       check.told(need.shape), std::max(kFewTokens, check.most_tokens())));
    return;
  }
  fail(ErrorKind::kLimit, "{}: the model {}; {}", file.path(), check.told(need.shape), check.what_fits());
}

}  // namespace stonechat
