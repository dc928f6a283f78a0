// That an observer sees the same however a pass is cut, and changes no result. What it sees is checked
// against numpy in tests/integration/test_calibrate.py.
#include "model/observer.h"

#include <gtest/gtest.h>

#include <map>

#include "kernels/dispatch.h"
#include "model/executor.h"
#include "model/test_model.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

class Recorder : public Observer {
 public:
  void observe(const Observed& observed, ThreadPool&) override {
    auto& values = seen[{observed.tap, observed.layer}];
    for (uint32_t token = 0; token < observed.tokens; ++token) {
      const float* row = observed.values + token * observed.stride;
      values.insert(values.end(), row, row + observed.channels);
    }
  }

  std::map<std::pair<Tap, uint32_t>, std::vector<float>> seen;
};

class ObserverTest : public testing::Test {
 protected:
  Weights load(const TestModel& model, gguf::TensorType type) {
    const std::string path = directory_.file("model.gguf");
    model.write(path, type, model.metadata());
    return Weights::load(gguf::Reader(path), kernels(), pool_, {});
  }

  // Logits of all tokens.
  std::vector<float> run(const Weights& weights, const Tuning& tuning, uint32_t threads, Observer* observer) {
    ThreadPool pool(threads);
    Executor executor(weights, kernels(), pool, tuning);
    executor.set_observer(observer);
    KvCache cache(weights, kTokens);
    std::vector<int32_t> tokens;
    for (int32_t i = 0; i < static_cast<int32_t>(kTokens); ++i) tokens.push_back((i * i * 7 + 3 * i) % 50);
    executor.forward(cache, tokens, Wanted::kAll);
    const auto logits = executor.logits(0, kTokens);
    return {logits.begin(), logits.end()};
  }

  static constexpr uint32_t kTokens = 150;
  const TemporaryDirectory directory_;
  ThreadPool pool_{2};
};

TEST_F(ObserverTest, ChangesNoBitAndSeesTheSameHoweverAPassIsCut) {
  for (const auto type : {gguf::TensorType::kF32, gguf::TensorType::kQ8_0}) {
    TestModel model;
    model.mlp_width = 160;
    model.make(11);
    const Weights weights = load(model, type);
    const auto expected = run(weights, {}, 1, nullptr);
    Recorder whole;
    EXPECT_EQ(run(weights, {}, 1, &whole), expected);
    EXPECT_EQ(whole.seen.size(), size_t{model.layers} * kLayerTaps + 2);
    const TapShape shape = {.layers = model.layers,
                            .width = model.width,
                            .heads = model.heads,
                            .kv_heads = model.kv_heads,
                            .head_dim = model.head_dim,
                            .mlp_width = model.mlp_width,
                            .vocabulary = model.vocabulary};
    for (const auto& [place, values] : whole.seen)
      EXPECT_EQ(values.size(), size_t{kTokens} * shape.channels(place.first)) << name(place.first);
    for (const uint32_t threads : {1, 3}) {
      for (const Tuning& tuning : {Tuning{.token_block = 48, .mlp_piece = 32, .batch = 7},
                                   Tuning{.token_block = 96, .mlp_piece = 96, .batch = 100}}) {
        Recorder pieces;
        EXPECT_EQ(run(weights, tuning, threads, &pieces), expected);
        EXPECT_EQ(pieces.seen, whole.seen);
      }
    }
  }
}

TEST_F(ObserverTest, ProductsAddUp) {
  TestModel model;
  model.make(12);
  const Weights weights = load(model, gguf::TensorType::kF32);
  Recorder recorder;
  run(weights, {}, 2, &recorder);
  // SiLU(gate) x up is what comes into down, and down times it comes out.
  const auto& gate = recorder.seen.at({Tap::kGateOut, 1});
  const auto& up = recorder.seen.at({Tap::kUpOut, 1});
  const auto& in = recorder.seen.at({Tap::kDownIn, 1});
  const auto& out = recorder.seen.at({Tap::kDownOut, 1});
  const auto& down = model.values.at("blk.1.ffn_down.weight");
  for (size_t i = 0; i < in.size(); ++i)
    ASSERT_NEAR(in[i], gate[i] / (1 + std::exp(-double{gate[i]})) * up[i], 1e-5) << i;
  for (uint32_t row = 0; row < model.width; ++row) {
    double sum = 0;
    for (uint32_t col = 0; col < model.mlp_width; ++col)
      sum += double{down[row * model.mlp_width + col]} * in[col];
    ASSERT_NEAR(out[row], sum, 1e-5) << row;
  }
}

}  // namespace
}  // namespace stonechat
