#include "engine/memory_need.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "kernels/dispatch.h"
#include "model/packed_file.h"
#include "model/test_model.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using testing::HasSubstr;
using testing::Not;

class MemoryNeedTest : public testing::Test {
 protected:
  MemoryNeedTest() {
    TestModel model;
    model.mlp_width = 512;
    model.make(1);
    model.write(path("f32.gguf"), gguf::TensorType::kF32, model.metadata());
  }

  std::string path(const std::string& name) const { return directory_.file(name); }

  static RunNeed need(uint32_t tokens) {
    RunNeed need{.shape = {.tokens = tokens, .pass_tokens = 1}};
    need.shape.cache = {kCacheF32, kCacheF32};
    return need;
  }

  // What check_room() says: an error's text, or the notice, or "".
  std::string told(const RunNeed& need, uint64_t room, const std::string& name = "f32.gguf") const {
    const gguf::Reader file(path(name));
    std::string notice;
    try {
      check_room(file, ModelConfig::from(file), kernels(), need, {room, "the test has little"},
                 [&](const std::string& text) { notice = text; });
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kLimit);
      EXPECT_EQ(notice, "");
      return std::string("error: ") + error.what();
    }
    return notice;
  }

  MemoryEstimate estimate(const RunNeed& need, const std::string& name = "f32.gguf") const {
    const gguf::Reader file(path(name));
    return estimate_run(file, ModelConfig::from(file), kernels(), need.shape);
  }

  TemporaryDirectory directory_;
};

TEST_F(MemoryNeedTest, WhatFitsIsSilent) {
  EXPECT_EQ(told(need(8192), estimate(need(8192)).peak()), "");
}

TEST_F(MemoryNeedTest, ALongContextIsShortened) {
  // A token takes 2 layers x 2 x 64 values x 4 bytes: so many that loading isn't what needs most.
  const std::string text = told(need(8192), estimate(need(4096)).peak() + 5);
  EXPECT_THAT(text, HasSubstr("error: "));
  EXPECT_THAT(text, HasSubstr("f32.gguf: the model needs"));
  EXPECT_THAT(text, HasSubstr("the test has little"));
  EXPECT_THAT(text, HasSubstr("a context of 4096 tokens"));
  EXPECT_THAT(text, HasSubstr("a cache of 8 bits (-ctk q8_0 -ctv q8_0)"));
  EXPECT_THAT(text, Not(HasSubstr("weights in")));
  EXPECT_THAT(
      told(need(8192), estimate(need(8192)).peak() - 1),
      HasSubstr("a context of 8128 tokens, a cache of 8 bits (-ctk q8_0 -ctv q8_0), or weights in q8_0 "
                "(stonechat quantize --type q8_0)"));
}

TEST_F(MemoryNeedTest, WeightsThatDoNotFitAreMadeSmaller) {
  const uint64_t weights = estimate(need(32)).parts[MemoryPart::kWeights];
  const std::string text = told(need(32), estimate(need(32)).peak() - weights / 2);
  EXPECT_THAT(text, HasSubstr("what would fit: weights in q8_0 (stonechat quantize --type q8_0)"));
  EXPECT_THAT(told(need(32), estimate(need(32)).peak() - weights * 4 / 5), HasSubstr("fit: weights in q4_0"));
  EXPECT_THAT(told(need(32), 0), HasSubstr("no context, cache or type of weights would fit"));
}

TEST_F(MemoryNeedTest, ARunThatMayEndEarlyIsWarnedOnly) {
  RunNeed early = need(8192);
  early.fills_cache = false;
  const std::string text = told(early, estimate(need(2048)).peak());
  EXPECT_THAT(text, Not(HasSubstr("error")));
  EXPECT_THAT(text, HasSubstr("a full context of 8192 tokens needs"));
  EXPECT_THAT(text, HasSubstr("; 2048 tokens fit"));
  EXPECT_THAT(told(early, estimate(need(32)).peak() - 1), HasSubstr("error: "));
}

TEST_F(MemoryNeedTest, AnotherModelCountsToo) {
  RunNeed both = need(32);
  both.besides = 7'000'000;
  EXPECT_EQ(told(both, estimate(both).peak() + both.besides), "");
  EXPECT_THAT(told(both, estimate(both).peak() + both.besides - 1), HasSubstr("the other model 7, the rest"));
}

TEST_F(MemoryNeedTest, PagesOfAPackedFileCanBeGivenUp) {
  ThreadPool pool(1);
  write_packed(gguf::Reader(path("f32.gguf")), kernels(), path("packed.gguf"), pool, {}, {});
  const MemoryEstimate all = estimate(need(32), "packed.gguf");
  const uint64_t rest = all.peak() - all.parts[MemoryPart::kWeights];
  EXPECT_EQ(told(need(32), rest, "packed.gguf"), "");
  EXPECT_THAT(told(need(32), rest - 1, "packed.gguf"), HasSubstr("weights 0, KV cache"));
}

}  // namespace
}  // namespace stonechat
