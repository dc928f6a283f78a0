// Compares a model file's logits and greedy tokens with golden values made by tools/make_golden.py.
//
//   golden_check MODEL GOLDEN.json [TOLERANCE]
//
// Logits may differ by TOLERANCE (0.001) of the largest logit; greedy tokens must be equal. Prints one line a
// prompt; exit code 1 when something differs.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <fstream>
#include <nlohmann/json.hpp>

#include "gguf/reader.h"
#include "kernels/dispatch.h"
#include "model/executor.h"

namespace stonechat {
namespace {

int32_t argmax(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// The largest difference from the golden logits, over the largest golden logit.
double worst_difference(std::span<const float> logits, const nlohmann::json& prompt) {
  double largest = 0;
  double worst = 0;
  for (const char* list : {"top", "fixed"}) {
    for (const auto& pair : prompt[list]) {
      const double expected = pair[1].get<double>();
      largest = std::max(largest, std::abs(expected));
      worst = std::max(worst, std::abs(double{logits[pair[0].get<size_t>()]} - expected));
    }
  }
  return worst / largest;
}

size_t equal_tokens(Executor& executor, KvCache& cache, const std::vector<int32_t>& greedy) {
  for (size_t i = 0; i < greedy.size(); ++i) {
    const int32_t token = argmax(executor.last_logits());
    if (token != greedy[i]) return i;
    executor.forward(cache, std::span(&token, 1));
  }
  return greedy.size();
}

int check_model(const std::string& model, const std::string& golden_path, double tolerance) {
  std::ifstream stream(golden_path);
  const nlohmann::json golden = nlohmann::json::parse(stream);
  const gguf::Reader file(model);
  ThreadPool pool(usable_processors());
  const Weights weights = Weights::load(file, kernels(), pool, {});
  Executor executor(weights, kernels(), pool);
  bool good = true;
  for (const auto& prompt : golden["prompts"]) {
    const auto tokens = prompt["tokens"].get<std::vector<int32_t>>();
    KvCache cache(weights, static_cast<uint32_t>(tokens.size()) + 256);
    executor.forward(cache, tokens);
    const double worst = worst_difference(executor.last_logits(), prompt);
    const auto greedy = prompt.value("greedy", std::vector<int32_t>{});
    const size_t equal = equal_tokens(executor, cache, greedy);
    good = good && worst <= tolerance && equal == greedy.size();
    fmt::print("{}: worst logit difference {:.2e} of the largest, {} of {} greedy tokens equal\n",
               prompt["label"].get<std::string>(), worst, equal, greedy.size());
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace stonechat

int main(int argc, char** argv) {
  try {
    if (argc < 3) throw std::runtime_error("usage: golden_check MODEL GOLDEN.json [TOLERANCE]");
    return stonechat::check_model(argv[1], argv[2], argc > 3 ? std::stod(argv[3]) : 1e-3);
  } catch (const std::exception& error) {
    fmt::print(stderr, "golden_check: {}\n", error.what());
    return 2;
  }
}
