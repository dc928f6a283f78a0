// The catalog and URLs; the protocol itself is tested against a server in tests/integration/test_pull.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "hub/catalog.h"
#include "hub/http.h"

namespace stonechat {
namespace {

using testing::HasSubstr;

std::string parse_error(const std::string& json) {
  try {
    parse_catalog(json);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
    return error.what();
  }
  return "no error";
}

TEST(Catalog, OurOwnIsComplete) {
  const CatalogEntry* reference = find_in_catalog("qwen2.5-coder-0.5b");
  ASSERT_NE(reference, nullptr);
  EXPECT_EQ(reference->bytes, 491'400'064U);
  ASSERT_EQ(reference->sources.size(), 2U);
  EXPECT_EQ(reference->sources[0].parts.size(), 6U);
  EXPECT_EQ(reference->sources[1].repo, "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF");
  for (const auto& entry : catalog()) {
    EXPECT_FALSE(entry.sources.empty()) << entry.name;
    EXPECT_EQ(entry.file.empty(), entry.sha256.empty()) << entry.name;
    if (!entry.file.empty()) {
      EXPECT_EQ(entry.sha256.size(), 64U) << entry.name;
      EXPECT_GT(entry.bytes, 0U) << entry.name;
    }
  }
  EXPECT_EQ(find_in_catalog("no such model"), nullptr);
}

TEST(Catalog, ErrorsNameTheField) {
  EXPECT_THAT(parse_error("nonsense"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(parse_error("[]"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(parse_error(R"({"m": {}})"), HasSubstr("m.about is missing"));
  EXPECT_THAT(parse_error(R"({"m": {"about": 1}})"), HasSubstr("m.about: expected a text"));
  EXPECT_THAT(parse_error(R"({"m": {"about": "", "sources": []}})"), HasSubstr("m.sources: expected a list"));
  EXPECT_THAT(parse_error(R"({"m": {"about": "", "file": "f", "sha256": "", "bytes": -1}})"),
              HasSubstr("m.bytes"));
  EXPECT_THAT(parse_error(R"({"m": {"about": "", "sources": [{"kind": "ftp"}]}})"), HasSubstr("found 'ftp'"));
  EXPECT_THAT(
      parse_error(R"({"m": {"about": "", "sources": [{"kind": "hub", "repo": "a/b", "files": [1]}]}})"),
      HasSubstr("m.files: expected texts"));
}

TEST(Url, OriginsDecideWhoGetsTheToken) {
  EXPECT_EQ(origin_of("https://Hub.example:8080/a/b?c"), "https://hub.example:8080");
  EXPECT_NE(origin_of("https://hub.example"), origin_of("http://hub.example"));
  EXPECT_NE(origin_of("https://hub.example"), origin_of("https://hub.example.evil.org/"));
  EXPECT_NE(origin_of("https://hub.example@evil.org/"), origin_of("https://hub.example"));
  EXPECT_EQ(origin_of("no url"), "");
}

TEST(Url, Locations) {
  const std::string base = "https://hub.example/a/b?q=1";
  EXPECT_EQ(resolve_location(base, "/c/d"), "https://hub.example/c/d");
  EXPECT_EQ(resolve_location(base, "/c?next=https://x"), "https://hub.example/c?next=https://x");
  EXPECT_EQ(resolve_location(base, "c"), "https://hub.example/a/c");
  EXPECT_EQ(resolve_location(base, "//cdn.example/x"), "https://cdn.example/x");
  EXPECT_EQ(resolve_location(base, "https://cdn.example/x"), "https://cdn.example/x");
}

TEST(Url, PathsAreEncoded) {
  EXPECT_EQ(encode_path("folder/model v1+é?.gguf"), "folder/model%20v1%2B%C3%A9%3F.gguf");
}

}  // namespace
}  // namespace stonechat
