// The forward pass against plain loops in double that share no code with it, and broken models.
#include "model/executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "kernels/dispatch.h"
#include "model/test_model.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using testing::HasSubstr;

// The textbook forward pass: logits of the last token.
class NaiveForward {
 public:
  explicit NaiveForward(const TestModel& model) : model_(model) {}

  std::vector<double> logits(const std::vector<int32_t>& tokens) {
    std::vector<std::vector<double>> stream;
    for (const int32_t token : tokens) {
      const auto& embedding = model_.values.at("token_embd.weight");
      const auto begin = embedding.begin() + static_cast<std::ptrdiff_t>(token) * model_.width;
      stream.emplace_back(begin, begin + model_.width);
    }
    for (uint32_t layer = 0; layer < model_.layers; ++layer) {
      prefix_ = "blk." + std::to_string(layer) + ".";
      attention(stream);
      for (auto& x : stream) mlp(x);
    }
    prefix_.clear();
    return times(model_.separate_head ? "output.weight" : "token_embd.weight",
                 norm("output_norm.weight", stream.back()));
  }

 private:
  using Vector = std::vector<double>;

  const std::vector<float>& tensor(const std::string& name) const { return model_.values.at(prefix_ + name); }

  Vector norm(const std::string& name, const Vector& x) const {
    double squares = 0;
    for (const double value : x) squares += value * value;
    const double scale = 1 / std::sqrt(squares / static_cast<double>(x.size()) + 1e-6);
    Vector result;
    for (size_t i = 0; i < x.size(); ++i) result.push_back(x[i] * scale * tensor(name)[i]);
    return result;
  }

  Vector times(const std::string& name, const Vector& x) const {
    const auto& weights = tensor(name);
    Vector result(weights.size() / x.size());
    for (size_t row = 0; row < result.size(); ++row) {
      for (size_t col = 0; col < x.size(); ++col)
        result[row] += double{weights[row * x.size() + col]} * x[col];
    }
    return result;
  }

  Vector projected(const std::string& name, const Vector& x) const {
    Vector result = times(name + ".weight", x);
    if (model_.bias) {
      for (size_t i = 0; i < result.size(); ++i) result[i] += tensor(name + ".bias")[i];
    }
    return result;
  }

  // llama files pair neighbours, qwen2 files halves.
  void rotate(Vector& x, size_t position) const {
    const uint32_t half = model_.head_dim / 2;
    for (size_t head = 0; head < x.size(); head += model_.head_dim) {
      for (uint32_t i = 0; i < half; ++i) {
        double angle =
            static_cast<double>(position) * std::pow(model_.rope_base, -static_cast<double>(i) / half);
        if (!model_.rope_factors.empty()) angle /= model_.rope_factors[i];
        const bool neighbours = model_.architecture == "llama";
        double& a = x[head + (neighbours ? 2 * i : i)];
        double& b = x[head + (neighbours ? 2 * i + 1 : i + half)];
        const double rotated = a * std::cos(angle) - b * std::sin(angle);
        b = b * std::cos(angle) + a * std::sin(angle);
        a = rotated;
      }
    }
  }

  void attention(std::vector<Vector>& stream) const {
    std::vector<Vector> keys, values;
    const uint32_t group = model_.heads / model_.kv_heads;
    for (size_t position = 0; position < stream.size(); ++position) {
      const Vector x = norm("attn_norm.weight", stream[position]);
      Vector query = projected("attn_q", x);
      keys.push_back(projected("attn_k", x));
      values.push_back(projected("attn_v", x));
      rotate(query, position);
      rotate(keys.back(), position);
      Vector mixed(query.size());
      for (uint32_t head = 0; head < model_.heads; ++head) {
        const size_t from = size_t{head} * model_.head_dim;
        const size_t kv_from = size_t{head / group} * model_.head_dim;
        Vector weights;
        double total = 0;
        for (const Vector& key : keys) {
          double dot = 0;
          for (uint32_t d = 0; d < model_.head_dim; ++d) dot += query[from + d] * key[kv_from + d];
          weights.push_back(std::exp(dot / std::sqrt(model_.head_dim)));
          total += weights.back();
        }
        for (size_t j = 0; j < keys.size(); ++j) {
          for (uint32_t d = 0; d < model_.head_dim; ++d)
            mixed[from + d] += weights[j] / total * values[j][kv_from + d];
        }
      }
      const Vector out = times("attn_output.weight", mixed);
      for (size_t i = 0; i < out.size(); ++i) stream[position][i] += out[i];
    }
  }

  void mlp(Vector& x) const {
    const Vector normed = norm("ffn_norm.weight", x);
    Vector gate = times("ffn_gate.weight", normed);
    const Vector up = times("ffn_up.weight", normed);
    for (size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
    const Vector out = times("ffn_down.weight", gate);
    for (size_t i = 0; i < out.size(); ++i) x[i] += out[i];
  }

  const TestModel& model_;
  std::string prefix_;
};

class ExecutorTest : public testing::Test {
 protected:
  Weights load(const TestModel& model, gguf::TensorType type = gguf::TensorType::kF32) {
    return load(model, type, model.metadata());
  }
  Weights load(const TestModel& model, gguf::TensorType type, const gguf::Metadata& metadata) {
    const std::string path = directory_.file("model.gguf");
    model.write(path, type, metadata);
    const gguf::Reader file(path);
    return Weights::load(file, kernels(), pool_, {});
  }
  std::string load_error(const TestModel& model, const std::function<void(gguf::Metadata&)>& change) {
    gguf::Metadata metadata = model.metadata();
    change(metadata);
    try {
      load(model, gguf::TensorType::kF32, metadata);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
      return error.what();
    }
    return "no error";
  }

  static std::vector<float> copy(std::span<const float> values) { return {values.begin(), values.end()}; }

  const TemporaryDirectory directory_;
  ThreadPool pool_{2};
};

std::vector<int32_t> some_tokens(size_t count) {
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>(i * i * 7 + 3 * i) % 50);
  return tokens;
}

TEST_F(ExecutorTest, EqualsPlainLoops) {
  for (const std::string architecture : {"qwen2", "llama"}) {
    for (const bool separate_head : {false, true}) {
      for (const bool scaled_rope : {false, true}) {
        SCOPED_TRACE(architecture + (separate_head ? ", separate head" : "") +
                     (scaled_rope ? ", scaled rope" : ""));
        TestModel model;
        model.architecture = architecture;
        model.separate_head = separate_head;
        model.bias = architecture == "qwen2";
        if (scaled_rope) {
          for (uint32_t i = 0; i < model.head_dim / 2; ++i)
            model.rope_factors.push_back(i < 5 ? 1.0F : 1.0F + static_cast<float>(i));
        }
        model.make(5);
        const Weights weights = load(model);
        Executor executor(weights, kernels(), pool_);
        const auto tokens = some_tokens(70);
        const auto expected = NaiveForward(model).logits(tokens);
        // Cached keys and values are rounded: not, or by up to 2^-11, 2^-12 or 2^-8 of the largest; what
        // follows keeps that size.
        for (const auto& [format, tolerance] :
             {std::pair{kCacheF32, 1e-4}, {kCacheF16, 5e-3}, {kCacheQ16, 5e-3}, {kCacheQ8, 4e-2}}) {
          KvCache cache(weights, 100, {format, format});
          executor.forward(cache, tokens);
          const auto logits = executor.last_logits();
          for (size_t i = 0; i < expected.size(); ++i)
            EXPECT_NEAR(logits[i], expected[i], tolerance) << name(format) << ", token " << i;
        }
      }
    }
  }
}

TEST_F(ExecutorTest, TruncatedCachesGoOnAsIfNothingHadBeen) {
  TestModel model;
  model.make(8);
  const Weights weights = load(model);
  Executor executor(weights, kernels(), pool_);
  const auto tokens = some_tokens(40);
  KvCache cache(weights, 40);
  executor.forward(cache, tokens);
  const auto expected = copy(executor.last_logits());
  cache.truncate(33);
  executor.forward(cache, std::span(tokens).subspan(33));
  EXPECT_EQ(copy(executor.last_logits()), expected);
}

TEST_F(ExecutorTest, RefusesWhatDoesNotFitAndDoesNothing) {
  TestModel model;
  model.make(9);
  const Weights weights = load(model);
  Executor executor(weights, kernels(), pool_);
  KvCache cache(weights, 8);
  const auto message = [&](std::vector<int32_t> tokens) -> std::string {
    try {
      executor.forward(cache, tokens);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(message(some_tokens(9)), HasSubstr("holds 8 tokens: 0 are there, 9 more do not fit"));
  EXPECT_THAT(message({1, 50}), HasSubstr("token id 50 is outside of the model's vocabulary of 50"));
  EXPECT_THAT(message({-1}), HasSubstr("token id -1"));
  EXPECT_EQ(cache.length(), 0U);
  executor.set_should_stop([] { return true; });
  EXPECT_THAT(message({1}), HasSubstr("interrupted"));
}

TEST_F(ExecutorTest, RefusesTooManyTokensInTheVocabulary) {
  const std::string path = directory_.file("model.gguf");
  const std::vector<gguf::TensorSpec> specs = {
      {"token_embd.weight", gguf::TensorType::kI8, {1, (1 << 24) + 1}}};
  gguf::Writer writer(path, TestModel().metadata(), specs);
  writer.write_tensor_data(std::vector<std::byte>(specs[0].bytes()));
  writer.finish();
  try {
    ModelConfig::from(gguf::Reader(path));
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("token_embd.weight: expected at most 16777216 rows, found 16777217"));
  }
}

TEST_F(ExecutorTest, RefusesModelsThatAreNotWhatTheySay) {
  TestModel model;
  model.make(10);
  const auto with = [&](const char* key, uint32_t value) {
    return load_error(model, [&](gguf::Metadata& metadata) {
      metadata.set(std::string("qwen2.") + key, gguf::Value::of_uint32(value));
    });
  };
  EXPECT_THAT(with("block_count", 3), HasSubstr("tensor blk.2.attn_norm.weight is missing"));
  EXPECT_THAT(with("block_count", 1), HasSubstr("not one of this architecture's"));
  EXPECT_THAT(with("block_count", 0), HasSubstr("qwen2.block_count: expected 1 to 1024, found 0"));
  EXPECT_THAT(with("embedding_length", 96),
              HasSubstr("token_embd.weight: expected shape [96, 50], found [64, 50]"));
  EXPECT_THAT(with("embedding_length", 65), HasSubstr("expected a multiple of 32, found 65"));
  EXPECT_THAT(with("feed_forward_length", 128),
              HasSubstr("ffn_gate.weight: expected shape [64, 128], found [64, 96]"));
  EXPECT_THAT(with("attention.head_count_kv", 3), HasSubstr("a divisor of the 4 query heads, found 3"));
  EXPECT_THAT(with("attention.key_length", 48), HasSubstr("attention.key_length: expected a multiple of 32"));
  EXPECT_THAT(with("attention.value_length", 64), HasSubstr("attention.value_length: expected 32, found 64"));
  EXPECT_THAT(with("rope.dimension_count", 16), HasSubstr("rope.dimension_count: expected 32, found 16"));
  EXPECT_THAT(with("context_length", 0), HasSubstr("context_length"));
  EXPECT_THAT(load_error(model,
                         [](gguf::Metadata& metadata) {
                           metadata.set("qwen2.rope.scaling.type", gguf::Value::of_string("yarn"));
                         }),
              HasSubstr("rope.scaling.type: expected none or linear, found 'yarn'"));
  EXPECT_THAT(load_error(model, [](gguf::Metadata& metadata) { metadata.erase("qwen2.embedding_length"); }),
              HasSubstr("qwen2.embedding_length: expected an integer, found nothing"));
  EXPECT_THAT(load_error(model,
                         [](gguf::Metadata& metadata) {
                           metadata.set("qwen2.attention.layer_norm_rms_epsilon",
                                        gguf::Value::of_float32(NAN));
                         }),
              HasSubstr("layer_norm_rms_epsilon"));
  TestModel infinite = model;
  infinite.values["blk.0.ffn_up.weight"][70] = INFINITY;
  EXPECT_THAT(load_error(infinite, [](gguf::Metadata&) {}),
              HasSubstr("blk.0.ffn_up.weight: expected finite values"));
  TestModel broken_norm = model;
  broken_norm.values["output_norm.weight"][3] = NAN;
  EXPECT_THAT(load_error(broken_norm, [](gguf::Metadata&) {}),
              HasSubstr("output_norm.weight: expected finite"));
}

}  // namespace
}  // namespace stonechat
