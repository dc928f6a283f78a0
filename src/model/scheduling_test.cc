// How work is cut must not change a bit of the logits: threads, batches, several sequences in one call, an
// interruption; for each table of kernels and each weight format. All are compared with the plain table, one
// thread, one sequence at a time.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "kernels/dispatch.h"
#include "kernels/test_support.h"
#include "model/executor.h"
#include "model/test_model.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using Bits = std::vector<uint32_t>;
using Tokens = std::vector<int32_t>;

constexpr uint32_t kContext = 128;

Bits as_bits(std::span<const float> values) {
  Bits bits;
  for (const float value : values) bits.push_back(bits_of(value));
  return bits;
}

// Sizes that no tile divides, and enough tiles for five threads. Of the three heads that share a key/value
// head each may be computed by another thread, or two by one.
TestModel odd_model() {
  TestModel model;
  model.heads = 6;
  model.mlp_width = 224;
  model.vocabulary = 333;
  model.make(31);
  return model;
}

Tokens some_tokens(size_t count, int32_t salt) {
  Tokens tokens;
  for (size_t i = 0; i < count; ++i)
    tokens.push_back((static_cast<int32_t>(i * i * 7 + 3 * i) + 41 * salt) % 333);
  return tokens;
}

class SchedulingTest : public testing::TestWithParam<std::tuple<std::string, gguf::TensorType>> {
 protected:
  SchedulingTest() : table_(kernels_up_to(std::get<0>(GetParam()))), weights_(load(table_)) {}

  Weights load(const KernelTable& table) {
    const std::string path = directory_.file("model.gguf");
    odd_model().write(path, std::get<1>(GetParam()), odd_model().metadata());
    const gguf::Reader file(path);
    ThreadPool pool(2);
    return Weights::load(file, table, pool, {});
  }

  // The logits after each of the tokens, in one row after another. Computed once for all tables, as the plain
  // one is slow.
  const Bits& expected_logits(const Tokens& tokens) {
    static std::map<std::pair<gguf::TensorType, Tokens>, Bits> known;
    Bits& logits = known[{std::get<1>(GetParam()), tokens}];
    if (logits.empty()) {
      const KernelTable table = kernels_up_to("scalar");
      const Weights weights = load(table);
      ThreadPool pool(1);
      Executor executor(weights, table, pool);
      KvCache cache(weights, kContext);
      executor.forward(cache, tokens, Wanted::kAll);
      logits = as_bits(executor.logits(0, executor.hidden_rows()));
    }
    return logits;
  }
  Bits row_of(const Bits& logits, size_t row) const {
    const size_t vocabulary = weights_.config.vocabulary;
    const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(row * vocabulary);
    return {begin, begin + static_cast<std::ptrdiff_t>(vocabulary)};
  }

  const TemporaryDirectory directory_;
  const KernelTable table_;
  const Weights weights_;
};

TEST_P(SchedulingTest, ThreadsAndBatchesDoNotChangeBits) {
  const Tokens tokens = some_tokens(75, 0);
  const Bits& expected = expected_logits(tokens);
  constexpr std::pair<uint32_t, uint32_t> kThreadsAndBatch[] = {{1, 1}, {1, 512}, {2, 7},  {2, 32},
                                                                {3, 1}, {3, 512}, {5, 32}, {5, 512}};
  for (const auto& [threads, batch] : kThreadsAndBatch) {
    SCOPED_TRACE(testing::Message() << threads << " threads, batches of " << batch);
    ThreadPool pool(threads);
    Executor executor(weights_, table_, pool, Tuning{.batch = batch});
    KvCache cache(weights_, kContext);
    executor.forward(cache, tokens, Wanted::kAll);
    ASSERT_EQ(as_bits(executor.logits(0, executor.hidden_rows())), expected);
    // One row's logits alone are those among others.
    ASSERT_EQ(as_bits(executor.logits(41, 1)), row_of(expected, 41));
  }
}

TEST_P(SchedulingTest, CallsOfAnyLengthDoNotChangeBits) {
  const Tokens tokens = some_tokens(75, 1);
  const Bits& expected = expected_logits(tokens);
  ThreadPool pool(3);
  Executor executor(weights_, table_, pool, Tuning{.batch = 16});
  for (const auto& lengths : {std::vector<size_t>{10, 65}, {1, 1, 33, 1, 39}, {31, 32, 11, 1}, {74, 1}}) {
    KvCache cache(weights_, kContext);
    size_t done = 0;
    for (const size_t length : lengths) {
      executor.forward(cache, std::span(tokens).subspan(done, length));
      done += length;
      ASSERT_EQ(as_bits(executor.last_logits()), row_of(expected, done - 1)) << "after " << done;
    }
  }
}

TEST_P(SchedulingTest, SequencesDecodedTogetherAreSequencesAlone) {
  constexpr size_t kSteps = 5;
  const std::vector<size_t> prompts = {1, 33, 8, 64, 31};
  std::vector<Tokens> tokens;
  std::vector<Bits> expected;
  for (size_t i = 0; i < prompts.size(); ++i) {
    tokens.push_back(some_tokens(prompts[i] + kSteps, static_cast<int32_t>(i)));
    expected.push_back(expected_logits(tokens.back()));
  }
  for (const uint32_t threads : {2U, 5U}) {
    ThreadPool pool(threads);
    for (const uint32_t batch : {3U, 512U}) {  // several batches a step, and one
      SCOPED_TRACE(testing::Message() << threads << " threads, batches of " << batch);
      Executor executor(weights_, table_, pool, Tuning{.batch = batch});
      std::vector<KvCache> caches;
      for (const size_t prompt : prompts) {
        caches.emplace_back(weights_, kContext);
        executor.forward(caches.back(), std::span(tokens[caches.size() - 1]).first(prompt), Wanted::kNone);
        ASSERT_EQ(executor.hidden_rows(), 0U);
      }
      for (size_t step = 0; step < kSteps; ++step) {
        std::vector<SequenceTokens> together;
        for (size_t i = 0; i < prompts.size(); ++i)
          together.push_back({&caches[i], std::span(tokens[i]).subspan(prompts[i] + step, 1), Wanted::kLast});
        executor.forward(together);
        ASSERT_EQ(executor.hidden_rows(), prompts.size());
        const Bits logits = as_bits(executor.logits(0, executor.hidden_rows()));
        for (size_t i = 0; i < prompts.size(); ++i)
          ASSERT_EQ(row_of(logits, i), row_of(expected[i], prompts[i] + step)) << "sequence " << i;
      }
    }
  }
}

// As a server does: some sequences still read their prompts while others are given their next token.
TEST_P(SchedulingTest, PromptChunksAndDecodeTokensInOneCall) {
  struct Sequence {
    size_t before;  // tokens that the cache has
    size_t now;     // tokens in the call
    Wanted wanted;
  };
  const std::vector<Sequence> sequences = {{40, 1, Wanted::kLast}, {0, 37, Wanted::kLast},
                                           {32, 1, Wanted::kAll},  {13, 20, Wanted::kNone},
                                           {5, 9, Wanted::kAll},   {63, 1, Wanted::kLast}};
  std::vector<Tokens> tokens;
  std::vector<Bits> expected;
  for (size_t i = 0; i < sequences.size(); ++i) {
    tokens.push_back(some_tokens(sequences[i].before + sequences[i].now + 1, static_cast<int32_t>(i) + 7));
    expected.push_back(expected_logits(tokens.back()));
  }
  for (const uint32_t threads : {1U, 3U}) {
    ThreadPool pool(threads);
    for (const uint32_t batch : {5U, 33U, 512U}) {
      SCOPED_TRACE(testing::Message() << threads << " threads, batches of " << batch);
      Executor executor(weights_, table_, pool, Tuning{.batch = batch});
      std::vector<KvCache> caches;
      for (size_t i = 0; i < sequences.size(); ++i) {
        caches.emplace_back(weights_, kContext);
        if (sequences[i].before > 0)
          executor.forward(caches[i], std::span(tokens[i]).first(sequences[i].before), Wanted::kNone);
      }
      std::vector<SequenceTokens> together;
      Bits wanted;  // rows in the order of the sequences and their wanted tokens
      uint32_t wanted_rows = 0;
      for (size_t i = 0; i < sequences.size(); ++i) {
        const auto [before, now, which] = sequences[i];
        together.push_back({&caches[i], std::span(tokens[i]).subspan(before, now), which});
        for (size_t row = before; row < before + now; ++row) {
          if (which == Wanted::kNone || (which == Wanted::kLast && row + 1 < before + now)) continue;
          const Bits logits = row_of(expected[i], row);
          wanted.insert(wanted.end(), logits.begin(), logits.end());
          ++wanted_rows;
        }
      }
      executor.forward(together);
      ASSERT_EQ(executor.hidden_rows(), wanted_rows);
      ASSERT_EQ(as_bits(executor.logits(0, wanted_rows)), wanted);
      // The caches hold the right keys and values too.
      for (size_t i = 0; i < sequences.size(); ++i) {
        executor.forward(caches[i], std::span(tokens[i]).last(1));
        ASSERT_EQ(as_bits(executor.last_logits()), row_of(expected[i], tokens[i].size() - 1))
            << "sequence " << i;
      }
    }
  }
}

TEST_P(SchedulingTest, APoolThatIsResizedBetweenTokensDoesNotChangeBits) {
  const Tokens tokens = some_tokens(60, 3);
  const Bits& expected = expected_logits(tokens);
  ThreadPool pool(1);
  Executor executor(weights_, table_, pool);
  KvCache cache(weights_, kContext);
  size_t done = 0;
  for (const auto& [threads, length] :
       {std::pair{1U, 20U}, {4U, 20U}, {2U, 1U}, {5U, 1U}, {1U, 1U}, {3U, 17U}}) {
    pool.resize(threads);
    executor.forward(cache, std::span(tokens).subspan(done, length));
    done += length;
    ASSERT_EQ(as_bits(executor.last_logits()), row_of(expected, done - 1)) << threads << " threads";
  }
}

TEST_P(SchedulingTest, TuningsDoNotChangeBits) {
  const Tokens tokens = some_tokens(123, 6);
  const Bits& expected = expected_logits(tokens);
  // Blocks shorter than a prompt, one for each thread and several, pieces that the width of the MLP (224)
  // isn't a multiple of, and threads that change between prompt and decode.
  const Tuning tunings[] = {
      {.token_block = 48, .mlp_piece = 32, .batch = 512, .few_tokens = 0},
      {.token_block = 48, .mlp_piece = 96, .batch = 50, .few_tokens = 1},
      {.token_block = 48,
       .mlp_piece = 1024,
       .batch = 7,
       .few_tokens = 512,
       .prompt_threads = 3,
       .decode_threads = 1},
      {.token_block = 768,
       .mlp_piece = 160,
       .batch = 61,
       .few_tokens = 5,
       .prompt_threads = 1,
       .decode_threads = 4},
      {.token_block = 96,
       .mlp_piece = 64,
       .batch = 65'536,
       .few_tokens = 33,
       .prompt_threads = 5,
       .decode_threads = 5},
  };
  ThreadPool pool(2);
  Executor switched(weights_, table_, pool);
  for (const Tuning& tuning : tunings) {
    SCOPED_TRACE(testing::Message() << "token_block " << tuning.token_block);
    Executor fresh(weights_, table_, pool, tuning);
    switched.set_tuning(tuning);
    for (Executor* executor : {&fresh, &switched}) {
      KvCache cache(weights_, kContext);
      executor->forward(cache, std::span(tokens).first(120), Wanted::kAll);
      if (tuning.prompt_threads != 0) {
        ASSERT_EQ(pool.threads(), tuning.prompt_threads);
      }
      const Bits prompt = as_bits(executor->logits(0, 120));
      ASSERT_TRUE(std::equal(prompt.begin(), prompt.end(), expected.begin()));
      for (size_t i = 120; i < 123; ++i) {
        executor->forward(cache, std::span(tokens).subspan(i, 1));
        if (tuning.decode_threads != 0) {
          ASSERT_EQ(pool.threads(), tuning.decode_threads);
        }
        ASSERT_EQ(as_bits(executor->last_logits()), row_of(expected, i));
      }
    }
  }
  EXPECT_THROW(switched.set_tuning({.token_block = 10}), Error);
  EXPECT_THROW(Executor(weights_, table_, pool, Tuning{.mlp_piece = 0}), Error);
}

// Their tables prepare 4 to 16 tokens together.
TEST_P(SchedulingTest, BlocksFitAllFormatsOfALayer) {
  const auto type = std::get<1>(GetParam());
  const auto other = type == gguf::TensorType::kF32 ? gguf::TensorType::kQ8_0 : gguf::TensorType::kF32;
  const std::string path = directory_.file("two_types.gguf");
  odd_model().write(
      path,
      [&](const std::string& name) { return name.find("ffn_down") == std::string::npos ? type : other; },
      odd_model().metadata());
  const gguf::Reader file(path);
  const Tokens tokens = some_tokens(100, 7);
  const auto logits = [&](uint32_t token_block) {
    ThreadPool pool(2);
    const Weights weights = Weights::load(file, table_, pool, {});
    Executor executor(weights, table_, pool, Tuning{.token_block = token_block});
    KvCache cache(weights, kContext);
    executor.forward(cache, tokens, Wanted::kAll);
    return as_bits(executor.logits(0, 100));
  };
  const Bits at_once = logits(768);
  for (const uint32_t token_block : {48, 96, 144})
    ASSERT_EQ(logits(token_block), at_once) << "blocks of " << token_block;
}

TEST_P(SchedulingTest, AnInterruptedPromptGoesOnWhereItWas) {
  const Tokens tokens = some_tokens(70, 5);
  const Bits& expected = expected_logits(tokens);
  ThreadPool pool(2);
  Executor executor(weights_, table_, pool, Tuning{.batch = 16});
  KvCache cache(weights_, kContext);
  int questions = 0;
  executor.set_should_stop([&] { return ++questions == 3; });
  try {
    executor.forward(cache, tokens);
    FAIL() << "was not interrupted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInterrupted);
  }
  ASSERT_EQ(cache.length(), 32U);
  executor.forward(cache, std::span(tokens).subspan(cache.length()));
  EXPECT_EQ(as_bits(executor.last_logits()), row_of(expected, 69));
}

std::string test_name(const testing::TestParamInfo<SchedulingTest::ParamType>& test) {
  return std::get<0>(test.param) + "_" + std::string(gguf::name(std::get<1>(test.param)));
}

INSTANTIATE_TEST_SUITE_P(Tables, SchedulingTest,
                         testing::Combine(testing::ValuesIn(supported_tables()),
                                          testing::Values(gguf::TensorType::kF32, gguf::TensorType::kF16,
                                                          gguf::TensorType::kBF16, gguf::TensorType::kQ8_0,
                                                          gguf::TensorType::kQ8_R, gguf::TensorType::kQ4_0)),
                         test_name);

}  // namespace
}  // namespace stonechat
