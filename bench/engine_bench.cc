// The sampler, over the 151,936 logits of Qwen2.5.
#include "bench/inputs.h"
#include "bench/support.h"
#include "engine/sampler.h"

namespace stonechat {
namespace {

constexpr size_t kVocabulary = 151'936;

void sample(benchmark::State& state, const SamplerOptions& options) {
  std::vector<float> logits = some_floats(kVocabulary);
  for (float& logit : logits) logit *= 10;
  Sampler sampler(options);
  for (auto _ : state) {
    const int32_t token = sampler.sample(logits);
    sampler.accept(token);
    benchmark::DoNotOptimize(token);
  }
  report_values(state, kVocabulary);
}

}  // namespace

void register_benchmarks() {
  const auto add = [](const char* name, const SamplerOptions& options) {
    benchmark::RegisterBenchmark(name, [=](benchmark::State& state) {
      sample(state, options);
    })->Unit(benchmark::kMicrosecond);
  };
  add("sampler/greedy", {.temperature = 0});
  add("sampler/default", {});
  add("sampler/penalties", {.repetition_penalty = 1.1F});
  add("sampler/top_p", {.top_k = 0, .min_p = 0});
  add("sampler/typical", {.top_k = 0, .top_p = 1, .min_p = 0, .typical_p = 0.9F});
}

}  // namespace stonechat
