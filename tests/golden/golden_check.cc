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

struct Prompt {
  std::string label;
  std::vector<int32_t> greedy;
  KvCache cache;
  int32_t next;      // likeliest token
  double worst = 0;  // difference of logits
  size_t equal = 0;  // greedy tokens
};

// Goes on with all prompts at once, each until its tokens differ or all are there.
void go_on(Executor& executor, std::vector<Prompt>& prompts) {
  for (;;) {
    std::vector<Prompt*> going;
    std::vector<SequenceTokens> sequences;
    for (Prompt& prompt : prompts) {
      if (prompt.equal == prompt.greedy.size() || prompt.next != prompt.greedy[prompt.equal]) continue;
      if (++prompt.equal == prompt.greedy.size()) continue;
      going.push_back(&prompt);
      sequences.push_back({&prompt.cache, std::span(&prompt.next, 1)});
    }
    if (going.empty()) return;
    executor.forward(sequences);
    // All at once: the head's weights are read once.
    const std::span<const float> logits = executor.logits(0, static_cast<uint32_t>(going.size()));
    const size_t vocabulary = logits.size() / going.size();
    for (size_t i = 0; i < going.size(); ++i)
      going[i]->next = argmax(logits.subspan(i * vocabulary, vocabulary));
  }
}

int check_model(const std::string& model, const std::string& golden_path, double tolerance) {
  std::ifstream stream(golden_path);
  const nlohmann::json golden = nlohmann::json::parse(stream);
  const gguf::Reader file(model);
  ThreadPool pool(usable_processors());
  const Weights weights = Weights::load(file, kernels(), pool, {});
  Executor executor(weights, kernels(), pool);
  std::vector<Prompt> prompts;
  for (const auto& entry : golden["prompts"]) {
    const auto tokens = entry["tokens"].get<std::vector<int32_t>>();
    const auto greedy = entry["greedy"].get<std::vector<int32_t>>();
    KvCache cache(weights, static_cast<uint32_t>(tokens.size() + greedy.size()));
    executor.forward(cache, tokens);
    prompts.push_back({entry["label"].get<std::string>(), greedy, std::move(cache),
                       argmax(executor.last_logits()), worst_difference(executor.last_logits(), entry)});
  }
  go_on(executor, prompts);
  bool good = !prompts.empty();
  for (const Prompt& prompt : prompts) {
    good = good && prompt.worst <= tolerance && prompt.equal == prompt.greedy.size();
    fmt::print("{}: worst logit difference {:.2e} of the largest, {} of {} greedy tokens equal\n",
               prompt.label, prompt.worst, prompt.equal, prompt.greedy.size());
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
