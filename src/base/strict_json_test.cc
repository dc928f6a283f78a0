#include "base/strict_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using testing::HasSubstr;

template <typename Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
    return error.what();
  }
  return "no error";
}

std::string parse_error(std::string_view text) {
  return error_of([&] { parse_strict_json(text, "file"); });
}

TEST(StrictJson, GivesWhatTheLibraryGives) {
  for (const std::string text :
       {"1", "[]", "{}", "null", R"("a")", "[[], {}, [1, 2.5, -3, true, false, null]]",
        R"({"a": {"b": [1, {"c": "\u00e9\n"}]}, "": 18446744073709551615})"}) {
    EXPECT_EQ(parse_strict_json(text, "file"), Json::parse(text)) << text;
  }
}

TEST(StrictJson, RefusesWhatIsNoJson) {
  for (const std::string_view text :
       {"", "{", "[1,]", "{\"a\": }", "[1] 2", "NaN", "\"\xff\"", "{'a': 1}", "nul"}) {
    EXPECT_THAT(parse_error(text), HasSubstr("file: expected JSON")) << text;
  }
}

TEST(StrictJson, RefusesAKeyTwice) {
  EXPECT_THAT(parse_error(R"({"a": 1, "b": 2, "a": 3})"), HasSubstr("found 'a' again"));
  EXPECT_THAT(parse_error(R"([{"x": {"a": 1, "\u0061": 3}}])"), HasSubstr("found 'a' again"));
  EXPECT_EQ(parse_error(R"([{"a": 1}, {"a": {"a": 2}}])"), "no error");
}

TEST(StrictJson, RefusesDepth) {
  const auto nested = [](size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  EXPECT_EQ(parse_error(nested(kMostJsonDepth)), "no error");
  EXPECT_THAT(parse_error(nested(kMostJsonDepth + 1)), HasSubstr("at most 32 levels"));
  EXPECT_THAT(parse_error(std::string(1 << 20, '[')), HasSubstr("at most 32 levels"));
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  EXPECT_THAT(parse_error(objects), HasSubstr("at most 32 levels"));
}

TEST(StrictJson, RefusesTooManyValues) {
  std::string text = "[";
  for (uint64_t i = 0; i < kMostJsonValues; ++i) text += "0,";
  EXPECT_THAT(parse_error(text + "0]"), HasSubstr("JSON values, found more"));
}

TEST(StrictJson, ReadsObjectsFromFiles) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("x.json");
  std::ofstream(path) << R"({"a": 1})";
  EXPECT_EQ(read_json_object(path)["a"], 1);
  std::ofstream(path) << "[1]";
  EXPECT_THAT(error_of([&] { read_json_object(path); }),
              HasSubstr("expected a JSON object, found an array of 1"));
  std::filesystem::resize_file(path, kMostJsonBytes + 1);
  EXPECT_THAT(error_of([&] { read_json_object(path); }), HasSubstr("bytes of JSON"));
}

TEST(StrictJson, FieldsHaveTypesAndRanges) {
  const Json json = parse_strict_json(
      R"({"n": 5, "f": 0.5, "t": "x", "b": true, "o": {"n": -1}, "a": [1], "z": null})", "file");
  const JsonFields fields(json, "file");
  EXPECT_EQ(fields.get_uint("n", 1, 5), 5U);
  EXPECT_EQ(fields.get_number("n", 0, 9), 5.0);
  EXPECT_EQ(fields.get_number("f", 0, 1), 0.5);
  EXPECT_EQ(fields.get_string("t"), "x");
  EXPECT_EQ(fields.find_bool("b"), true);
  EXPECT_EQ(fields.get_array("a").size(), 1U);
  EXPECT_EQ(fields.find_uint("z", 0, 9), std::nullopt);
  EXPECT_EQ(fields.find_uint("none", 0, 9), std::nullopt);
  EXPECT_EQ(error_of([&] { fields.get_uint("n", 6, 9); }),
            "file: n: expected an integer from 6 to 9, found 5");
  EXPECT_EQ(error_of([&] { fields.get_object("o").get_uint("n", 0, 9); }),
            "file: o.n: expected an integer from 0 to 9, found -1");
  EXPECT_EQ(error_of([&] { fields.get_uint("f", 0, 9); }),
            "file: f: expected an integer from 0 to 9, found 0.5");
  EXPECT_EQ(error_of([&] { fields.get_string("n"); }), "file: n: expected a text, found 5");
  EXPECT_EQ(error_of([&] { fields.get_string("none"); }), "file: none: expected a text, found nothing");
  EXPECT_EQ(error_of([&] { fields.find_bool("t"); }), "file: t: expected true or false, found 'x'");
  EXPECT_EQ(error_of([&] { fields.get_object("a"); }), "file: a: expected an object, found an array of 1");
  EXPECT_EQ(error_of([&] { fields.get_array("o"); }), "file: o: expected an array, found an object");
  EXPECT_EQ(error_of([&] { fields.get_objects("a"); }), "file: a[0]: expected an object, found 1");
}

TEST(StrictJson, ObjectsOfAnArrayHaveNumbers) {
  const Json json = parse_strict_json(R"({"o": {"list": [{"n": 1}, {"n": -2}]}})", "file");
  const auto objects = JsonFields(json, "file").get_object("o").get_objects("list");
  ASSERT_EQ(objects.size(), 2U);
  EXPECT_EQ(objects[0].get_uint("n", 0, 9), 1U);
  EXPECT_EQ(error_of([&] { objects[1].get_uint("n", 0, 9); }),
            "file: o.list[1].n: expected an integer from 0 to 9, found -2");
}

TEST(StrictJson, LongValuesAreCutAtWholeCharacters) {
  EXPECT_EQ(json_text(Json(std::string(100, 'x'))), std::string(60, 'x') + "...");
  EXPECT_EQ(json_text(Json(
                "x" + std::string("\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac"
                                  "\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac"))),
            "x" +
                std::string("\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac"
                            "\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac") +
                "...");
}

}  // namespace
}  // namespace stonechat
