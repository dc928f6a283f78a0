#include "report/results_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/json.h"
#include "tests/support/sample_results.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using testing::HasSubstr;

std::string error_of(const std::string& text) {
  try {
    parse_results_json(text, "results.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
    return error.what();
  }
  return "no error";
}

// The sample with one value replaced, or added: a JSON pointer and JSON.
std::string changed(const std::string& pointer, const Json& value) {
  Json json = Json::parse(results_json(sample_results()));
  json[Json::json_pointer(pointer)] = value;
  return json.dump();
}

std::string without(const char* parent, const char* key) {
  Json json = Json::parse(results_json(sample_results()));
  EXPECT_EQ(json[Json::json_pointer(parent)].erase(key), 1U);
  return json.dump();
}

TEST(ResultsJson, WhatIsWrittenIsReadBack) {
  const std::string text = results_json(sample_results());
  const ReportResults read = parse_results_json(text, "results.json");
  EXPECT_EQ(results_json(read), text);
  ASSERT_EQ(read.variants.size(), 3U);
  const ReportVariant& q8 = read.variants[1];
  EXPECT_EQ(q8.name, "q8_0");
  EXPECT_FALSE(q8.is_reference);
  EXPECT_TRUE(read.variants[0].is_reference);
  EXPECT_EQ(q8.speeds[0].samples, (std::vector<double>{1180.2, 1195.9, 1188.6}));
  EXPECT_EQ(q8.speeds[0].rounds, (std::vector<uint32_t>{1, 2, 3}));
  EXPECT_EQ(q8.speeds[0].limit, "integer");
  EXPECT_EQ(q8.memory->parts.at("kv_cache"), 25'165'824U);
  EXPECT_EQ(q8.memory->series.at("rss").peak, 594'283'648U);
  EXPECT_EQ(q8.text->kl->standard_error, 0.00004);
  EXPECT_EQ(q8.text->kl_percentiles.at("p999"), 0.0141);
  EXPECT_EQ(q8.tasks[1].kept->low, 0.9961);
  EXPECT_EQ(read.machine.read_gbs, 46.25);
  EXPECT_EQ(read.model.parameters, 494'032'768U);
  EXPECT_EQ(read.part_seconds.at("speed"), 912.4);
  EXPECT_EQ(read.missing, sample_results().missing);
}

// Each field of the sample is in the file: one that the writer forgot would come back as its default.
TEST(ResultsJson, HasEveryField) {
  const Json json = Json::parse(results_json(sample_results()));
  EXPECT_EQ(json.size(), 10U);
  EXPECT_EQ(json["machine"].size(), 10U);
  EXPECT_EQ(json["model"].size(), 4U);
  const Json& variant = json["variants"][1];
  EXPECT_EQ(variant.size(), 9U);
  EXPECT_EQ(variant["speeds"][0].size(), 7U);
  EXPECT_EQ(variant["memory"].size(), 3U);
  EXPECT_EQ(variant["text"].size(), 11U);
  EXPECT_EQ(variant["tasks"][0].size(), 7U);
}

TEST(ResultsJson, TasksWithSubjectsHaveMacroAverages) {
  ReportResults results = sample_results();
  ReportTask& task = results.variants[1].tasks[1];
  task.acc_macro = Estimate{0.4125, 0.0141};
  task.acc_norm_macro = Estimate{0.375, 0.0138};
  const std::string text = results_json(results);
  const ReportResults read = parse_results_json(text, "results.json");
  EXPECT_EQ(results_json(read), text);
  EXPECT_EQ(read.variants[1].tasks[1].acc_macro->mean, 0.4125);
  EXPECT_EQ(read.variants[1].tasks[1].acc_norm_macro->standard_error, 0.0138);
  EXPECT_FALSE(read.variants[1].tasks[0].acc_macro);
}

TEST(ResultsJson, WhatWasNotMeasuredIsAbsent) {
  ReportResults results = sample_results();
  results.machine.read_gbs.reset();
  results.variants = {results.variants[0]};
  ReportVariant& only = results.variants[0];
  only.speeds[0].limit_share.reset();
  only.speeds[0].limit.clear();
  only.memory.reset();
  only.tasks.clear();
  const std::string text = results_json(results);
  EXPECT_THAT(text, testing::Not(HasSubstr("null")));
  const ReportResults read = parse_results_json(text, "results.json");
  EXPECT_EQ(read.machine.read_gbs, std::nullopt);
  EXPECT_EQ(read.variants[0].speeds[0].limit_share, std::nullopt);
  EXPECT_FALSE(read.variants[0].memory.has_value());
  EXPECT_FALSE(read.variants[0].text->kl.has_value());
  EXPECT_TRUE(read.variants[0].tasks.empty());
}

TEST(ResultsJson, LaterFieldsAreIgnored) {
  EXPECT_EQ(error_of(changed("/variants/0/colour", "red")), "no error");
  EXPECT_EQ(error_of(changed("/machine/new", {{"a", 1}})), "no error");
  EXPECT_EQ(error_of(without("/variants/0/speeds/0", "rounds")), "no error");
}

TEST(ResultsJson, ErrorsNameTheField) {
  EXPECT_EQ(error_of(changed("/schema", 2)),
            "results.json: schema: expected 1, which is all that this version reads, found 2");
  EXPECT_THAT(error_of(changed("/schema", "1")), HasSubstr("schema: expected an integer"));
  EXPECT_THAT(error_of(without("", "schema")), HasSubstr("schema: expected an integer"));
  EXPECT_EQ(error_of(without("/variants/1/tasks/0", "acc")),
            "results.json: variants[1].tasks[0].acc: expected an object, found nothing");
  EXPECT_EQ(error_of(changed("/variants/1/text/kl/mean", "0.1")),
            "results.json: variants[1].text.kl.mean: expected a number from -1e+18 to 1e+18, found '0.1'");
  EXPECT_EQ(
      error_of(changed("/variants/0/speeds/2/samples", Json::array())),
      "results.json: variants[0].speeds[2].samples: expected an array of 1 to 100000, found an array of 0");
  for (const Json& sample : {Json(0), Json(-3.5), Json("fast"), Json(), Json(1e300), Json(1e-300)}) {
    EXPECT_THAT(error_of(changed("/variants/0/speeds/0/samples/1", sample)),
                HasSubstr("variants[0].speeds[0].samples: expected numbers above 0"));
  }
  EXPECT_THAT(error_of(changed("/variants/0/speeds/0/rounds", {1, 2})),
              HasSubstr("speeds[0].rounds: expected one for each sample"));
  for (const Json& rounds : {Json{0, 1, 2}, Json{1, 3, 3}, Json{1, 2, 1e9}, Json{1, 2, "3"}})
    EXPECT_THAT(error_of(changed("/variants/0/speeds/0/rounds", rounds)),
                HasSubstr("rounds: expected ascending"));
  EXPECT_THAT(error_of(changed("/variants/0/weights_bytes", -1)), HasSubstr("variants[0].weights_bytes"));
  EXPECT_THAT(error_of(changed("/variants/0/memory/parts/weights", 1.5)),
              HasSubstr("variants[0].memory.parts.weights: expected an integer"));
  EXPECT_THAT(error_of(changed("/variants/0/memory/series/rss", 5)),
              HasSubstr("series.rss: expected an object"));
  EXPECT_THAT(error_of(changed("/variants/1/tasks/0/kept/low", 2)),
              HasSubstr("kept.low: expected at most 'value'"));
  EXPECT_THAT(error_of(changed("/variants/1/tasks/0/kept/high", 0.5)),
              HasSubstr("kept.high: expected at least"));
  for (const char* field : {"tasks/0/acc", "tasks/0/acc_norm", "text/same_top", "text/top5_overlap"}) {
    EXPECT_THAT(error_of(changed(std::string("/variants/1/") + field + "/mean", 1.5)),
                HasSubstr("mean: expected a number from 0 to 1, found 1.5"));
  }
  EXPECT_THAT(error_of(changed("/variants/1/text/probability_difference/mean", -2)),
              HasSubstr("mean: expected a number from -1 to 1, found -2"));
  // Caches serve more than memory allows.
  EXPECT_EQ(error_of(changed("/variants/0/speeds/0/limit_share", 3.5)), "no error");
  EXPECT_THAT(error_of(changed("/variants/1/tasks/0/questions", 0)), HasSubstr("tasks[0].questions"));
  EXPECT_THAT(error_of(changed("/model/sha256", "12")), HasSubstr("model.sha256: expected 64 digits"));
  EXPECT_THAT(error_of(changed("/missing/tasks.ceval", 7)),
              HasSubstr("missing.tasks.ceval: expected a text"));
  EXPECT_THAT(error_of(changed("/variants/0/speeds/0/prompt", 0)),
              HasSubstr("tokens to read or to generate"));
}

TEST(ResultsJson, NamesAreDifferentAndOneVariantIsTheReference) {
  EXPECT_THAT(error_of(changed("/variants/1/name", "f32")),
              HasSubstr("variants: expected each name once (not 'f32' twice)"));
  EXPECT_THAT(error_of(changed("/variants/0/speeds/1/test", "pp256")), HasSubstr("not 'pp256' twice"));
  EXPECT_THAT(error_of(changed("/variants/0/tasks/1/task", "arc_c")),
              HasSubstr("not 'arc_c, 0 shots' twice"));
  EXPECT_THAT(error_of(changed("/variants/1/reference", true)),
              HasSubstr("one with reference true, found 2"));
  EXPECT_THAT(error_of(changed("/variants/0/reference", false)),
              HasSubstr("one with reference true, found 0"));
  EXPECT_THAT(error_of(changed("/variants", Json::array())), HasSubstr("found 0"));
}

TEST(ResultsJson, RefusesWhatIsNoReport) {
  for (const char* text : {"", "{", "[]", "{}", "7", "\"text\"", "null", R"({"schema": 1, "schema": 1})",
                           R"({"schema": 1e999})", R"({"schema": 1})"}) {
    EXPECT_THAT(error_of(text), HasSubstr("results.json: ")) << text;
  }
  const std::string whole = results_json(sample_results());
  for (size_t bytes = 0; bytes + 2 < whole.size(); bytes += 97)
    EXPECT_NE(error_of(whole.substr(0, bytes)), "no error") << bytes;
}

TEST(ResultsJson, RefusesTooMuch) {
  Json many = Json::object();
  for (int i = 0; i < 65; ++i) many[std::to_string(i)] = "x";
  EXPECT_THAT(error_of(changed("/missing", many)),
              HasSubstr("missing: expected an object of at most 64 fields"));
  Json json = Json::parse(results_json(sample_results()));
  for (int i = 0; i < 64; ++i) {
    json["variants"].push_back(json["variants"][1]);
    json["variants"].back()["name"] = std::to_string(i);
  }
  EXPECT_THAT(error_of(json.dump()), HasSubstr("variants: expected an array of at most 64"));
}

TEST(ResultsJson, DoesNotWriteWhatJsonCannotSay) {
  ReportResults results = sample_results();
  results.variants[1].tasks[0].kept->high = INFINITY;
  EXPECT_THROW(results_json(results), Error);
  results = sample_results();
  results.model.argument = "caf\xe9 \"x\"\n";
  EXPECT_EQ(parse_results_json(results_json(results), "x").model.argument, "caf\uFFFD \"x\"\n");
}

TEST(ResultsJson, AreReadFromAFileOrItsDirectory) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("results.json");
  std::ofstream(path) << results_json(sample_results());
  EXPECT_EQ(read_results(path).model.description, "qwen2 494M");
  EXPECT_EQ(read_results(std::filesystem::path(path).parent_path()).model.description, "qwen2 494M");
  std::filesystem::remove(path);
  EXPECT_THROW(read_results(path), Error);
  EXPECT_THROW(read_results(std::filesystem::path(path).parent_path()), Error);
}

}  // namespace
}  // namespace stonechat
