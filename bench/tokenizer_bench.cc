// The tokenizer of the GGUF file that STONECHAT_MODEL names, on data/demo_text.txt repeated to a megabyte.
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>

#include "bench/support.h"
#include "gguf/reader.h"
#include "tokenizer/tokenizer.h"

namespace stonechat {
namespace {

constexpr const char* kText = STONECHAT_SOURCE_DIR "/data/demo_text.txt";
constexpr size_t kBytes = 1'000'000;

std::unique_ptr<Tokenizer> load(benchmark::State& state) {
  const char* path = std::getenv("STONECHAT_MODEL");
  if (path == nullptr) {
    state.SkipWithError("STONECHAT_MODEL names no GGUF file");
    return nullptr;
  }
  return std::make_unique<Tokenizer>(gguf::Reader(path).metadata());
}

std::string text() {
  std::ifstream file(kText, std::ios::binary);
  const std::string once{std::istreambuf_iterator<char>(file), {}};
  std::string result = once;
  while (!once.empty() && result.size() < kBytes) result += once;
  return result;
}

void encode(benchmark::State& state) {
  const auto tokenizer = load(state);
  if (!tokenizer) return;
  const std::string input = text();
  for (auto _ : state)
    benchmark::DoNotOptimize(tokenizer->encode(input, Tokenizer::SpecialTokens::kPlainText));
  state.SetBytesProcessed(static_cast<int64_t>(input.size()) * state.iterations());
}

void decode(benchmark::State& state) {
  const auto tokenizer = load(state);
  if (!tokenizer) return;
  const auto tokens = tokenizer->encode(text(), Tokenizer::SpecialTokens::kPlainText);
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer->decode(tokens));
  state.SetBytesProcessed(static_cast<int64_t>(tokenizer->decode(tokens).size()) * state.iterations());
}

}  // namespace

void register_benchmarks() {
  benchmark::RegisterBenchmark("tokenizer/encode", encode)->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("tokenizer/decode", decode)->Unit(benchmark::kMillisecond);
}

}  // namespace stonechat
