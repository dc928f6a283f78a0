// Templates and the records that fill them.
#include "eval/text_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Record record(const char* json) {
  return {Json::parse(json), "f:1"};
}

template <typename Work>
std::string error_of(Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
    return error.what();
  }
  return "no error";
}

TEST(TextTemplate, FieldsFiltersAndBraces) {
  const Record one =
      record(R"({"a": " \t x\u00a0\u3000", "n": -3, "o": {"l": ["p", "q"]}, "w": "one _ two_ "})");
  EXPECT_EQ(TextTemplate("<{a|strip}> {n} {o.l.1}{{}}").fill(one), "<x> -3 q{}");
  EXPECT_EQ(TextTemplate("{w|before_blank}|{w|after_blank}").fill(one), "one |two_");
  EXPECT_EQ(TextTemplate("{w|capitalize}").fill(record(R"({"w": "hELLO Ärger ÄR"})")), "Hello Ärger Är");
  EXPECT_EQ(TextTemplate("").fill(one), "");
  EXPECT_TRUE(TextTemplate("{a}{o.l.0}").has_fields(one));
  EXPECT_FALSE(TextTemplate("{a}{o.l.2}").has_fields(one));
}

TEST(TextTemplate, BadOnesAreRefused) {
  for (const char* text : {"{", "a}", "{}", "{a", "{a{b}}", "{|strip}", "{a}}"})
    EXPECT_THAT(error_of([&] { TextTemplate(text, "t.json: prompt"); }),
                HasSubstr("t.json: prompt: expected {FIELD} or {FIELD|FILTER}"))
        << text;
  EXPECT_THAT(error_of([] { TextTemplate("{a|upper}", "t.json: prompt"); }),
              HasSubstr("t.json: prompt: expected a filter strip"));
}

TEST(TextTemplate, MissingFieldsAreNamed) {
  const Record one = record(R"({"a": null, "b": ["x"], "c": "x"})");
  EXPECT_EQ(error_of([&] { TextTemplate("{a}").fill(one); }), "f:1: a: expected a text, found nothing");
  EXPECT_EQ(error_of([&] { TextTemplate("{b}").fill(one); }), "f:1: b: expected a text, found an array of 1");
  EXPECT_EQ(error_of([&] { TextTemplate("{b.00x}").fill(one); }),
            "f:1: b.00x: expected a text, found nothing");
  EXPECT_EQ(error_of([&] { TextTemplate("{c|after_blank}").fill(one); }),
            "f:1: c: expected a text with a '_', found x");
}

TEST(TextTemplate, BlanksAreThoseOfPython) {
  EXPECT_EQ(stripped("\x1f\u2003 a\u200b\u2028"), "a\u200b");  // U+200B is none
  EXPECT_EQ(without_trailing_blanks(" a \n"), " a");
  EXPECT_EQ(stripped(" \t"), "");
  EXPECT_EQ(stripped("\xff "), "\xff");
}

class RecordsTest : public testing::Test {
 protected:
  std::vector<Record> read(const std::string& name, const std::string& text) {
    std::ofstream(directory_.file(name), std::ios::binary) << text;
    return read_records(directory_.file(name));
  }
  TemporaryDirectory directory_;
};

TEST_F(RecordsTest, CsvQuoting) {
  const auto records = read("q.csv",
                            "\xef\xbb\xbf"
                            "a,b\r\n\"x, \"\"y\"\"\nz\",\n\n\"\",\"end\"");
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(text_field(records[0], "a"), "x, \"y\"\nz");
  EXPECT_EQ(text_field(records[0], "b"), "");
  EXPECT_EQ(text_field(records[1], "a"), "");
  EXPECT_EQ(text_field(records[1], "b"), "end");
  EXPECT_THAT(records[0].where, HasSubstr("q.csv:2"));
  EXPECT_THAT(records[1].where, HasSubstr("q.csv:5"));
}

TEST_F(RecordsTest, DamagedFilesAreNamedByLineAndField) {
  const auto error = [&](const std::string& name, const std::string& text) {
    return error_of([&] { read(name, text); });
  };
  EXPECT_THAT(error("q.csv", "a,b\n1,2\n\"x\"y,2\n"),
              HasSubstr("q.csv:3: field 1: text after a closing quote"));
  EXPECT_THAT(error("q.csv", "a,b\n1,2\n3,\"4\n5,6\n"), HasSubstr("q.csv:3: a quote opens here"));
  EXPECT_THAT(error("q.csv", "a,b\n1,2,3\n"), HasSubstr("q.csv:2: expected 2 fields, found 3"));
  EXPECT_THAT(error("q.jsonl", "{}\n{\"a\": 1"), HasSubstr("q.jsonl:2: expected JSON"));
  EXPECT_THAT(error("q.jsonl", "{}\n\n[1]"), HasSubstr("q.jsonl:3: expected an object"));
  EXPECT_THAT(error("q.jsonl", "\n \n"), HasSubstr("expected at least one record"));
}

TEST_F(RecordsTest, ArraysOfTexts) {
  const Record one = record(R"({"t": ["a", "b"], "m": ["a", 1], "s": "a"})");
  EXPECT_THAT(texts_field(one, "t"), ElementsAre("a", "b"));
  EXPECT_EQ(error_of([&] { texts_field(one, "m"); }),
            "f:1: m: expected an array of texts, found an array of 2");
  EXPECT_EQ(error_of([&] { texts_field(one, "s"); }), "f:1: s: expected an array of texts, found a");
}

}  // namespace
}  // namespace stonechat
