#include "quant/type_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <regex.h>

#include "base/error.h"

namespace stonechat {
namespace {

using gguf::TensorType;
using testing::HasSubstr;
using testing::StartsWith;

TEST(Pattern, StarsAndQuestionMarks) {
  EXPECT_TRUE(fits_pattern("blk.*.ffn_down.weight", "blk.11.ffn_down.weight"));
  EXPECT_FALSE(fits_pattern("blk.*.ffn_down.weight", "blk.11.ffn_up.weight"));
  EXPECT_TRUE(fits_pattern("blk.1?.*", "blk.11.ffn_down.weight"));
  EXPECT_FALSE(fits_pattern("blk.1?.*", "blk.1.ffn_down.weight"));
  EXPECT_TRUE(fits_pattern("*", ""));
  EXPECT_FALSE(fits_pattern("", "a"));
  EXPECT_FALSE(fits_pattern("token_embd", "token_embd.weight"));
  // Would take forever where each star is tried anew.
  EXPECT_FALSE(fits_pattern("*a*a*a*a*a*a*a*a*a*a*a*a*b", std::string(200, 'a')));
}

RC_GTEST_PROP(Pattern, FitsWhatARegularExpressionDoes, ()) {
  const auto pattern = *rc::gen::container<std::string>(rc::gen::element('a', 'b', '.', '*', '?'));
  const auto name = *rc::gen::container<std::string>(rc::gen::element('a', 'b', '.'));
  std::string expression = "^";
  for (const char character : pattern) {
    if (character == '*') {
      expression += ".*";
    } else if (character == '?') {
      expression += '.';
    } else {
      expression += {'[', character, ']'};
    }
  }
  // Not std::regex: it tries each star anew, which takes forever where there are many.
  regex_t compiled;
  RC_ASSERT(regcomp(&compiled, (expression + "$").c_str(), REG_EXTENDED | REG_NOSUB) == 0);
  const bool fits = regexec(&compiled, name.c_str(), 0, nullptr, 0) == 0;
  regfree(&compiled);
  RC_ASSERT(fits_pattern(pattern, name) == fits);
}

TEST(TypePlan, LastRuleThatFitsCounts) {
  const TypePlan plan = TypePlan::parse(R"({"comment": "by hand", "type": "q8_t", "rules": [
      {"tensors": "blk.*", "type": "q8_r"}, {"tensors": "*.ffn_down.weight", "type": "f16"},
      {"type": "q4_0", "tensors": "blk.1.*"}]})",
                                        "plan.json");
  EXPECT_EQ(plan.type_of("token_embd.weight"), TensorType::kQ8_T);
  EXPECT_EQ(plan.type_of("blk.0.attn_q.weight"), TensorType::kQ8_R);
  EXPECT_EQ(plan.type_of("blk.0.ffn_down.weight"), TensorType::kF16);
  EXPECT_EQ(plan.type_of("blk.1.ffn_down.weight"), TensorType::kQ4_0);
  EXPECT_EQ(TypePlan().type_of("w"), std::nullopt);
  const TypePlan again = TypePlan::parse(plan.to_json(), "again");
  EXPECT_EQ(again.to_json(), plan.to_json());
  EXPECT_EQ(again.rules.size(), 3U);
}

TEST(TypePlan, NamesOfTypesComeBack) {
  for (const char* name : {"q8_0", "q8_t", "q8_m", "q8_r", "q4_0", "f32", "f16", "bf16"})
    EXPECT_EQ(writable_type_name(*writable_type(name)), name);
  EXPECT_EQ(writable_type("q4_k"), std::nullopt);
  EXPECT_EQ(writable_type_names(), "q8_0, q8_t, q8_m, q8_r, q4_0, bf16, f16, f32");
}

TEST(TypePlan, HostileFilesAreRefused) {
  const std::pair<std::string, const char*> files[] = {
      {"", "expected JSON"},
      {"[]", "expected a JSON object, found an array of 0"},
      {"{\"type\": \"q8_0\"", "expected JSON"},
      {R"({"type": "q8_0", "type": "q4_0"})", "expected each key once in an object, found 'type' again"},
      {R"({"type": 8})", "type: expected a text, found 8"},
      {R"({"type": "q9_0"})",
       "type: expected one of q8_0, q8_t, q8_m, q8_r, q4_0, bf16, f16, f32, found 'q9_0'"},
      {R"({"type": null})", "type: expected a text"},
      {R"({"rules": {}})", "rules: expected an array, found an object"},
      {R"({"rules": ["blk.*"]})", "rules[0]: expected an object, found blk.*"},
      {R"({"rules": [{"tensors": "*"}]})", "rules[0].type: expected a text, found nothing"},
      {R"({"rules": [{"type": "q8_0"}]})", "rules[0].tensors: expected a text, found nothing"},
      {R"({"rules": [{"tensors": "", "type": "q8_0"}]})", "rules[0].tensors: expected a pattern"},
      {R"({"rules": [{"tensors": ["*"], "type": "q8_0"}]})", "rules[0].tensors: expected a text"},
      {R"({"rules": [{"tensors": "*", "type": "q8_0"}, {"tensors": "*", "type": "Q8_0"}]})", "rules[1].type"},
      {R"({"rules": [{"tensors": "*", "type": "q8_0", "range": 3}]})",
       "rules[0].range: expected no field but tensors, type, found 3"},
      {R"({"types": {}})", "types: expected no field but type, rules, comment, found an object"},
      {"{\"\\u001b[2J\": 1}", "expected no field but type"},
      {"{\"type\": \"\xff\"}", "expected JSON"},
      {R"({"type": ")" + std::string(300, 'q') + R"("})", "qqq..."},
      {R"({"type": )" + std::string(500'000, '[') + std::string(500'000, ']') + "}", "at most 32 levels"},
      {std::string(TypePlan::kMostBytes + 1, ' '), "expected at most 1048576 bytes"},
  };
  for (const auto& [text, message] : files) {
    try {
      TypePlan::parse(text, "plan.json");
      FAIL() << text.substr(0, 100);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
      EXPECT_THAT(error.what(), StartsWith("plan.json: "));
      EXPECT_THAT(error.what(), HasSubstr(message));
    }
  }
}

}  // namespace
}  // namespace stonechat
