#include "safetensors/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "tests/support/safetensors_builder.h"
#include "tests/support/temporary_directory.h"

namespace stonechat::safetensors {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Builder = SafetensorsBuilder;

void write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string text_of(const Reader& reader, const Tensor& tensor) {
  std::string text(tensor.bytes, '\0');
  reader.read(tensor, 0, std::as_writable_bytes(std::span(text)));
  return text;
}

TEST(Reader, ReadsTensorsInOrderOfTheirNames) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("x.safetensors");
  Builder()
      .raw_entry(R"("__metadata__": {"format": "pt"})")
      .tensor("b", "F16", "[2, 3]", "abcdefghijkl")
      .tensor("a", "F32", "[1]", "mnop")
      .tensor("scalar", "BF16", "[]", "qr")
      .tensor("empty", "I64", "[0, 4]", "")
      .write(path);
  const Reader reader(path);
  ASSERT_EQ(reader.tensors().size(), 4U);
  const Tensor& b = *reader.find("b");
  EXPECT_EQ(b.type, "F16");
  EXPECT_THAT(b.shape, ElementsAre(2, 3));
  EXPECT_EQ(text_of(reader, b), "abcdefghijkl");
  std::string part(3, '\0');
  reader.read(b, 4, std::as_writable_bytes(std::span(part)));
  EXPECT_EQ(part, "efg");
  EXPECT_EQ(text_of(reader, reader.tensors()[0]), "mnop");
  EXPECT_EQ(text_of(reader, *reader.find("scalar")), "qr");
  EXPECT_EQ(reader.find("empty")->bytes, 0U);
  EXPECT_EQ(reader.find("c"), nullptr);
  EXPECT_EQ(reader.find(""), nullptr);
}

TEST(Reader, TakesAHeaderPaddedWithSpacesAndOneWithoutTensors) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("x.safetensors");
  write(path,
        Builder::of_header(R"({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}     )", "x"));
  EXPECT_EQ(Reader(path).tensors().size(), 1U);
  write(path, Builder::of_header("{}", ""));
  EXPECT_TRUE(Reader(path).tensors().empty());
}

struct Hostile {
  const char* name;
  std::string bytes;
  const char* message;  // a part of what the error says
};

void PrintTo(const Hostile& hostile, std::ostream* stream) {
  *stream << hostile.name;
}

Builder one(std::string_view shape, uint64_t begin, uint64_t end, std::string_view type = "F32") {
  return Builder().entry("w", type, shape, begin, end);
}

std::string with_fields(const std::string& fields) {
  return Builder().raw_entry("\"w\": {" + fields + "}").data("12345678").bytes();
}

std::vector<Hostile> hostile_files() {
  const std::string eight = "12345678";
  const std::string good = Builder().tensor("w", "F32", "[2]", eight).bytes();
  std::string nested;
  for (int i = 0; i < 5000; ++i) nested += "{\"a\":";
  return {
      {"empty", "", "header length: expected 8 bytes, the file has 0"},
      {"seven_bytes", "1234567", "header length: expected 8 bytes, the file has 7"},
      {"length_zero", Builder::length_bytes(0) + "{}", "header length: expected 2 to 2, found 0"},
      {"length_past_the_end", Builder::length_bytes(3) + "{}", "header length: expected 2 to 2, found 3"},
      {"length_huge", Builder::length_bytes(UINT64_MAX) + "{}", "header length: expected 2 to 2"},
      {"length_that_wraps", Builder::length_bytes(UINT64_MAX - 7) + "{}", "header length: expected 2 to 2"},
      {"header_cut", good.substr(0, 40), "header length: expected 2 to 32"},
      {"header_is_an_array", Builder::of_header("[]", ""), "header: expected a JSON object"},
      {"header_begins_with_space", Builder::of_header(" {}", ""), "header: expected a JSON object"},
      {"header_is_no_json", Builder::of_header("{\"w\": ", ""), "header: expected JSON, found at byte"},
      {"header_with_more_after_it", Builder::of_header("{} {}", ""), "header: expected JSON"},
      {"header_of_zeros", Builder::of_header(std::string(16, '\0'), ""), "header: expected a JSON object"},
      {"name_no_utf8", Builder::of_header("{\"\xff\": 1}", ""), "header: expected JSON"},
      {"json_too_deep", Builder::of_header(nested, ""), "at most 32 levels"},
      {"same_name_twice", one("[1]", 0, 4).entry("w", "F32", "[1]", 4, 8).data(eight).bytes(),
       "expected each key once in an object, found 'w' again"},
      {"same_field_twice",
       with_fields(R"("dtype": "F32", "dtype": "F16", "shape": [2], "data_offsets": [0, 8])"),
       "found 'dtype' again"},
      {"metadata_no_object", Builder().raw_entry(R"("__metadata__": 5)").bytes(), "__metadata__: expected"},
      {"metadata_no_texts", Builder().raw_entry(R"("__metadata__": {"a": 1})").bytes(),
       "__metadata__: expected"},
      {"empty_name", Builder().entry("", "F32", "[2]", 0, 8).data(eight).bytes(), "expected a name of 1 to"},
      {"long_name", Builder().entry(std::string(5000, 'w'), "F32", "[2]", 0, 8).data(eight).bytes(),
       "found 5000"},
      {"tensor_no_object", Builder().raw_entry("\"w\": []").bytes(), "tensor w: expected an object"},
      {"no_type", with_fields(R"("shape": [2], "data_offsets": [0, 8])"), "tensor w.dtype: expected a text"},
      {"type_no_text", with_fields(R"("dtype": 1, "shape": [2], "data_offsets": [0, 8])"),
       "w.dtype: expected a text"},
      {"type_unknown", one("[2]", 0, 8, "F33").data(eight).bytes(), "found 'F33'"},
      {"no_shape", with_fields(R"("dtype": "F32", "data_offsets": [0, 8])"),
       "tensor w.shape: expected an array"},
      {"shape_negative", one("[-2]", 0, 8).data(eight).bytes(),
       "w.shape: expected integers that aren't negative"},
      {"shape_fraction", one("[2.0]", 0, 8).data(eight).bytes(), "w.shape: expected integers"},
      {"shape_text", one("[\"2\"]", 0, 8).data(eight).bytes(), "w.shape: expected integers"},
      {"shape_beyond_64_bits", one("[18446744073709551616]", 0, 8).data(eight).bytes(),
       "w.shape: expected integers"},
      {"shape_product_overflows", one("[4294967296, 4294967296]", 0, 8).data(eight).bytes(),
       "fewer than 2^64 bytes"},
      {"shape_bytes_overflow", one("[4611686018427387906]", 0, 8).data(eight).bytes(),
       "fewer than 2^64 bytes"},
      {"nine_dimensions", one("[1,1,1,1,1,1,1,1,2]", 0, 8).data(eight).bytes(), "at most 8 dimensions"},
      {"no_offsets", with_fields(R"("dtype": "F32", "shape": [2])"), "w.data_offsets: expected an array"},
      {"one_offset", with_fields(R"("dtype": "F32", "shape": [2], "data_offsets": [0])"), "two integers"},
      {"three_offsets", with_fields(R"("dtype": "F32", "shape": [2], "data_offsets": [0, 4, 8])"),
       "two integers"},
      {"offset_negative", with_fields(R"("dtype": "F32", "shape": [2], "data_offsets": [-8, 0])"),
       "two integers"},
      {"offset_text", with_fields(R"("dtype": "F32", "shape": [2], "data_offsets": ["0", 8])"),
       "two integers"},
      {"offsets_turned", one("[2]", 8, 0).data(eight).bytes(), "within the 8 bytes of data, found 8 to 0"},
      {"offset_past_the_end", one("[2]", 4, 12).data(eight).bytes(),
       "within the 8 bytes of data, found 4 to 12"},
      {"data_cut", good.substr(0, good.size() - 1), "within the 7 bytes of data"},
      {"too_few_bytes", one("[3]", 0, 8).data(eight).bytes(), "expected 12 bytes for F32 [3], found 8"},
      {"too_many_bytes", one("[1]", 0, 8).data(eight).bytes(), "expected 4 bytes for F32 [1], found 8"},
      {"bytes_of_another_type", one("[2]", 0, 8, "BF16").data(eight).bytes(),
       "expected 4 bytes for BF16 [2]"},
      {"overlap", one("[1]", 0, 4).entry("v", "F32", "[1]", 2, 6).data("123456").bytes(),
       "tensor v: expected its data to begin at 4"},
      {"same_data_twice", one("[2]", 0, 8).entry("v", "F32", "[2]", 0, 8).data(eight).bytes(),
       "expected its data to begin at 8"},
      {"gap", one("[1]", 0, 4).entry("v", "F32", "[1]", 5, 9).data("123456789").bytes(),
       "tensor v: expected its data to begin at 4, where that before it ends, found 5"},
      {"gap_at_the_start", one("[1]", 4, 8).data(eight).bytes(),
       "begin at 0, where that before it ends, found 4"},
      {"more_after_the_data", good + "x", "expected the tensors to cover the 9 bytes of data, found 8"},
      {"data_without_tensors", Builder().data(eight).bytes(), "expected the tensors to cover the 8 bytes"},
  };
}

class HostileSafetensors : public testing::TestWithParam<Hostile> {};

TEST_P(HostileSafetensors, IsRefusedWithItsReason) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("x.safetensors");
  write(path, GetParam().bytes);
  try {
    const Reader reader(path);
    FAIL() << "not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
    EXPECT_THAT(error.what(), HasSubstr(path));
    EXPECT_THAT(error.what(), HasSubstr(GetParam().message));
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, HostileSafetensors, testing::ValuesIn(hostile_files()),
                         [](const auto& parameter) { return parameter.param.name; });

TEST(Reader, RefusesAHeaderThatOnlyASparseFileCanHold) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("x.safetensors");
  write(path, Builder::length_bytes(kMostHeaderBytes + 1) + "{");
  std::filesystem::resize_file(path, uint64_t{1} << 33);
  try {
    const Reader reader(path);
    FAIL() << "not refused";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("header length: expected 2 to 16777216, found 16777217"));
  }
}

// Every cut and every changed byte of a good file gives a reader or an error, never anything else.
TEST(Reader, SurvivesCutsAndChangedBytes) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("x.safetensors");
  const std::string good =
      Builder().tensor("a", "F32", "[2]", "12345678").tensor("b", "BF16", "[1, 2]", "abcd").bytes();
  int read = 0;
  const auto attempt = [&](const std::string& bytes) {
    write(path, bytes);
    try {
      const Reader reader(path);
      for (const auto& tensor : reader.tensors()) text_of(reader, tensor);
      ++read;
    } catch (const Error&) {
    }
  };
  for (size_t length = 0; length < good.size(); ++length) attempt(good.substr(0, length));
  EXPECT_EQ(read, 0);
  for (size_t at = 0; at < good.size(); ++at) {
    for (const char change : {'\x01', '\x20'}) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      attempt(bytes);
    }
  }
  EXPECT_GT(read, 0);
}

}  // namespace
}  // namespace stonechat::safetensors
