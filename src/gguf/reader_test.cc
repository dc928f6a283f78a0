#include "gguf/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "gguf/writer.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/temporary_directory.h"

namespace stonechat::gguf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Reader, ReadsEveryTypeOfValue) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("values.gguf");
  GgufBuilder()
      .header(0, 14, 2)
      .key("u8", 0)
      .put(uint8_t{200})
      .key("i8", 1)
      .put(int8_t{-3})
      .key("u16", 2)
      .put(uint16_t{60000})
      .key("i16", 3)
      .put(int16_t{-300})
      .key("u32", 4)
      .put(uint32_t{4000000000})
      .key("i32", 5)
      .put(int32_t{-5})
      .key("f32", 6)
      .put(0.5F)
      .key("yes", 7)
      .put(uint8_t{1})
      .key("text", 8)
      .text("a\0b")
      .key("ints", 9)
      .put(uint32_t{5})
      .put(uint64_t{3})
      .put(int32_t{1})
      .put(int32_t{-2})
      .put(int32_t{3})
      .key("u64", 10)
      .put(UINT64_MAX)
      .key("i64", 11)
      .put(int64_t{-1})
      .key("f64", 12)
      .put(0.1)
      .key("texts", 9)
      .put(uint32_t{8})
      .put(uint64_t{2})
      .text("x")
      .text("")
      .write(path);
  const Reader reader(path);
  const Metadata& metadata = reader.metadata();
  EXPECT_EQ(reader.version(), 2U);
  EXPECT_EQ(metadata.get_uint("u8"), 200U);
  EXPECT_EQ(metadata.get_uint("u16"), 60000U);
  EXPECT_EQ(metadata.get_uint("u32"), 4000000000U);
  EXPECT_EQ(metadata.get_uint("u64"), UINT64_MAX);
  EXPECT_EQ(metadata.get_float("f32"), 0.5);
  EXPECT_EQ(metadata.get_float("f64"), 0.1);
  EXPECT_EQ(metadata.find_bool("yes"), true);
  EXPECT_THAT(metadata.get_ints("ints"), ElementsAre(1, -2, 3));
  EXPECT_THAT(metadata.get_strings("texts"), ElementsAre("x", ""));
  EXPECT_EQ(metadata.find_uint("none"), std::nullopt);
  EXPECT_THAT(message_of([&] { metadata.get_uint("i8"); }), HasSubstr("i8: expected 0 or more, found -3"));
  EXPECT_THAT(message_of([&] { metadata.get_uint("text"); }),
              HasSubstr("text: expected an integer, found string"));
  EXPECT_THAT(message_of([&] { metadata.get_string("f32"); }),
              HasSubstr("f32: expected string, found float32"));
  EXPECT_THAT(message_of([&] { metadata.get_strings("ints"); }),
              HasSubstr("expected array of string, found array of int32"));
  EXPECT_THAT(message_of([&] { metadata.get_float("none"); }),
              HasSubstr("none: expected a float, found nothing"));
}

TEST(Reader, WrittenFilesComeBackEqual) {
  for (const uint32_t alignment : {0U, 8U, 64U, 4096U}) {
    const TemporaryDirectory directory;
    const std::string path = directory.file("written.gguf");
    Metadata metadata;
    metadata.set("general.architecture", Value::of_string("llama"));
    if (alignment != 0) metadata.set("general.alignment", Value::of_uint32(alignment));
    metadata.set("flag", Value::of_bool(true));
    metadata.set("eps", Value::of_float32(1e-6F));
    std::vector<std::byte> first(3 * 5 * 4, std::byte{7});
    std::vector<std::byte> second(2 * 34, std::byte{9});
    const std::vector<std::byte> third(2 * 3 * (8 + 64), std::byte{5});
    const std::vector<TensorSpec> specs = {{"first", TensorType::kF32, {3, 5}},
                                           {"second", TensorType::kQ8_0, {32, 2}},
                                           {"third", TensorType::kQ8_M, {64, 3, 2}}};
    Writer writer(path, metadata, specs);
    writer.write_tensor_data(std::span(first).first(20));
    writer.write_tensor_data(std::span(first).subspan(20));
    writer.write_tensor_data(second);
    writer.write_tensor_data(third);
    writer.finish();

    const Reader reader(path);
    EXPECT_EQ(reader.file().bytes(), Writer::predicted_bytes(metadata, specs));
    EXPECT_EQ(reader.alignment(), alignment == 0 ? 32 : alignment);
    EXPECT_EQ(reader.metadata().entries().size(), metadata.entries().size());
    EXPECT_FLOAT_EQ(static_cast<float>(reader.metadata().get_float("eps")), 1e-6F);
    std::vector<std::byte> read(first.size());
    reader.read_rows(*reader.find_tensor("first"), 0, 5, read);
    EXPECT_EQ(read, first);
    read.assign(34, std::byte{0});
    reader.read_rows(*reader.find_tensor("second"), 1, 1, read);
    EXPECT_THAT(read, testing::Each(std::byte{9}));
    EXPECT_EQ(reader.find_tensor("third")->row_bytes(), 72U);
    read.assign(2 * 72, std::byte{0});
    reader.read_rows(*reader.find_tensor("third"), 4, 2, read);
    EXPECT_THAT(read, testing::Each(std::byte{5}));
    EXPECT_EQ(reader.find_tensor("fourth"), nullptr);
  }
}

// Larger than what the reader and the writer hold at once, in pieces of odd sizes.
TEST(Reader, LargeFilesComeBackEqual) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("large.gguf");
  std::vector<std::string> texts;
  for (size_t i = 0; i < 50'000; ++i)
    texts.push_back(std::string(i * i % 61, static_cast<char>('a' + i % 26)));
  texts[30'000] = std::string(3'000'000, 'x');
  Metadata metadata;
  metadata.set("texts", {ValueType::kArray, ValueType::kString, Array(texts)});
  metadata.set("none", {ValueType::kArray, ValueType::kString, Array(StringArray())});
  metadata.set("after", Value::of_uint32(5));
  constexpr uint64_t kElements = 3'000'001;
  std::vector<float> values(kElements);
  for (size_t i = 0; i < kElements; ++i) values[i] = static_cast<float>(i);
  const auto bytes = std::as_bytes(std::span(values));
  Writer writer(path, metadata, {{"w", TensorType::kF32, {kElements}}});
  for (size_t at = 0; at < bytes.size();) {
    const size_t count = std::min(bytes.size() - at, at % 7'000'001 + 1'000'003);
    writer.write_tensor_data(bytes.subspan(at, count));
    at += count;
  }
  writer.finish();

  const Reader reader(path);
  EXPECT_EQ(reader.metadata().get_uint("after"), 5U);
  EXPECT_TRUE(reader.metadata().get_strings("none").empty());
  const StringArray& found = reader.metadata().get_strings("texts");
  ASSERT_EQ(found.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) ASSERT_EQ(found[i], texts[i]) << i;
  std::vector<float> read(kElements);
  reader.read_rows(reader.tensors()[0], 0, 1, std::as_writable_bytes(std::span(read)));
  EXPECT_EQ(read, values);
}

TEST(Types, OwnTypesHaveARowHeader) {
  for (const TensorType type : {TensorType::kQ8_T, TensorType::kQ8_M, TensorType::kQ8_R}) {
    EXPECT_EQ(tensor_type_from_number(static_cast<uint32_t>(type)), type);
    EXPECT_TRUE(has_row_header(type));
    EXPECT_EQ(row_bytes(type, 896), 8U + 896);
  }
  EXPECT_EQ(name(TensorType::kQ8_R), "Q8_R");
  EXPECT_FALSE(has_row_header(TensorType::kQ8_0));
  EXPECT_EQ(row_bytes(TensorType::kQ8_0, 896), 28U * 34);
}

TEST(Writer, UnfinishedFilesDoNotAppear) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("unfinished.gguf");
  {
    Writer writer(path, Metadata(), {{"w", TensorType::kF32, {4}}});
    EXPECT_THAT(message_of([&] { writer.finish(); }), HasSubstr("tensor w: less data than announced"));
    const std::vector<std::byte> too_much(17);
    EXPECT_THAT(message_of([&] { writer.write_tensor_data(too_much); }), HasSubstr("more tensor data"));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Reader, MissingFile) {
  EXPECT_THAT(message_of([] { Reader("/nonexistent/model.gguf"); }),
              HasSubstr("/nonexistent/model.gguf: cannot open"));
}

}  // namespace
}  // namespace stonechat::gguf
