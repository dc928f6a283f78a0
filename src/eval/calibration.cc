#include "eval/calibration.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "model/tensor_plan.h"
#include "quant/decode.h"

namespace stonechat {
namespace {

class StatsObserver : public Observer {
 public:
  explicit StatsObserver(const ModelConfig& config) : shape_(tap_shape(config)) {
    for (const TapPlace& place : all_taps(config.layers)) {
      const uint32_t heads = shape_.own_heads(place.tap);
      stats_.emplace_back(shape_.channels(place.tap), std::max(1U, heads));
    }
  }

  void observe(const Observed& observed, ThreadPool& pool) override {
    stats_[index_of(observed.tap, observed.layer, shape_.layers)].add(observed.values, observed.stride,
                                                                      observed.tokens, pool, scratch_);
  }

  const std::vector<ActivationStats>& stats() const { return stats_; }

  void check_finite() const {
    const std::vector<TapPlace> places = all_taps(shape_.layers);
    for (size_t i = 0; i < places.size(); ++i) {
      if (const uint64_t count = stats_[i].not_finite(); count != 0) {
        fail(ErrorKind::kBadFile,
             "the model's activations at {} are not finite ({} of {}): its weights are broken",
             places[i].name(), count, stats_[i].tokens() * stats_[i].channels());
      }
    }
  }

 private:
  TapShape shape_;
  std::vector<ActivationStats> stats_;
  SketchScratch scratch_;
};

// The executor tells an observer of a forward pass while this lives.
class Watching {
 public:
  Watching(Executor& executor, Observer& observer) : executor_(executor) {
    executor_.set_observer(&observer);
  }
  ~Watching() { executor_.set_observer(nullptr); }
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;

 private:
  Executor& executor_;
};

// From the executor's order of queries' and keys' channels to that of the file's rows.
std::vector<float> in_file_order(std::vector<float> channels, uint32_t head_dim) {
  std::vector<float> result(channels.size());
  for (uint32_t row = 0; row < channels.size(); ++row)
    result[row_of_adjacent_pairs(row, head_dim)] = channels[row];
  return result;
}

TapStats finish(const TapPlace& place, const ActivationStats& stats, const ModelConfig& config) {
  TapStats tap{.place = place,
               .summary = stats.summary(),
               .minima = stats.minima(),
               .maxima = stats.maxima(),
               .means = stats.means(),
               .mean_squares = stats.mean_squares()};
  if (tap_shape(config).own_heads(place.tap) != 0) {
    for (uint32_t head = 0; head < stats.groups(); ++head) tap.heads.push_back(stats.summary(head));
  }
  const bool rotated =
      place.tap == Tap::kQueryOut || place.tap == Tap::kKeyOut || place.tap == Tap::kKeyRotated;
  if (rotated && config.rope_pairs_adjacent) {
    for (auto* channels : {&tap.minima, &tap.maxima, &tap.means, &tap.mean_squares})
      *channels = in_file_order(std::move(*channels), config.head_dim);
  }
  return tap;
}

}  // namespace

TapShape tap_shape(const ModelConfig& config) {
  return {.layers = config.layers,
          .width = config.width,
          .heads = config.heads,
          .kv_heads = config.kv_heads,
          .head_dim = config.head_dim,
          .mlp_width = config.mlp_width,
          .vocabulary = config.vocabulary};
}

Calibration calibrate(Executor& executor, const Tokenizer& tokenizer, std::span<const TokenId> tokens,
                      const WindowOptions& options, const WindowCallback& on_window) {
  const Windows windows(tokenizer, tokens, options);
  const ModelConfig& config = executor.weights().config;
  KvCache cache(executor.weights(), options.window, options.cache);
  StatsObserver observer(config);
  Calibration result{.wanted = windows.count()};
  {
    const Watching watching(executor, observer);
    bool stopped = false;
    while (result.windows < windows.count() && !stopped) {
      cache.truncate(0);
      executor.forward(cache, windows.tokens(result.windows), Wanted::kAll);
      observer.check_finite();
      for (uint32_t row = 0; row < options.window; row += kLogitsAtOnce)
        executor.logits(row, std::min(kLogitsAtOnce, options.window - row));
      ++result.windows;
      stopped = on_window && on_window(result.windows, windows.count());
    }
  }
  const std::vector<TapPlace> places = all_taps(config.layers);
  for (size_t i = 0; i < places.size(); ++i)
    result.taps.push_back(finish(places[i], observer.stats()[i], config));
  return result;
}

std::vector<std::vector<float>> key_biases(const gguf::Reader& file, const ModelConfig& config) {
  std::vector<std::vector<float>> biases;
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    // The weights were loaded: it is there in all layers or in none, and has the right shape.
    const gguf::TensorInfo* tensor = file.find_tensor(fmt::format("blk.{}.attn_k.bias", layer));
    if (tensor == nullptr) return {};
    std::vector<std::byte> stored(tensor->bytes);
    file.read_rows(*tensor, 0, 1, stored);
    std::vector<float> values(config.kv_width());
    decode(tensor->type, stored.data(), values.size(), values.data());
    biases.push_back(std::move(values));
  }
  return biases;
}

std::vector<ImportanceEntry> importance(const std::vector<TapStats>& taps, uint32_t layers,
                                        bool separate_head) {
  constexpr std::pair<const char*, Tap> kInputs[] = {
      {"attn_q", Tap::kQkvIn},      {"attn_k", Tap::kQkvIn},
      {"attn_v", Tap::kQkvIn},      {"attn_output", Tap::kAttentionIn},
      {"ffn_gate", Tap::kGateUpIn}, {"ffn_up", Tap::kGateUpIn},
      {"ffn_down", Tap::kDownIn},
  };
  std::vector<ImportanceEntry> entries;
  for (uint32_t layer = 0; layer < layers; ++layer) {
    for (const auto& [name, tap] : kInputs) {
      entries.push_back(
          {fmt::format("blk.{}.{}.weight", layer, name), taps[index_of(tap, layer, layers)].mean_squares});
    }
  }
  entries.push_back({separate_head ? "output.weight" : "token_embd.weight",
                     taps[index_of(Tap::kHeadIn, 0, layers)].mean_squares});
  return entries;
}

}  // namespace stonechat
