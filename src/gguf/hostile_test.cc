// Malformed files of many kinds: each is refused with a message that names the file and what was wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "gguf/reader.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/temporary_directory.h"

namespace stonechat::gguf {
namespace {

using testing::HasSubstr;

constexpr uint32_t kU8 = 0, kU32 = 4, kF32Value = 6, kBool = 7, kString = 8, kArray = 9, kU64 = 10;
constexpr uint32_t kTypeF32 = 0, kTypeQ8_0 = 8, kTypeQ4_K = 12, kTypeQ8_R = 1'000'003;

struct Hostile {
  const char* name;
  std::string bytes;
  const char* message;  // a part of what the error says
};

void PrintTo(const Hostile& hostile, std::ostream* stream) {
  *stream << hostile.name;
}

GgufBuilder start(uint64_t tensors, uint64_t entries) {
  return GgufBuilder().header(tensors, entries);
}

// A file of one tensor (32 x 2 F32 unless said), complete up to its data.
GgufBuilder one_tensor(uint64_t cols = 32, uint64_t rows = 2, uint32_t type = kTypeF32, uint64_t offset = 0) {
  return start(1, 0).tensor("w", cols, rows, type, offset).pad(32);
}

std::string good_file() {
  return start(2, 2)
      .entry_u32("general.alignment", 32)
      .key("name", kString)
      .text("good")
      .tensor("a", 32, 2, kTypeF32, 0)
      .tensor("b", 32, 1, kTypeQ8_0, 256)
      .pad(32)
      .zeros(256 + 34)
      .bytes();
}

std::string cut(const std::string& bytes, size_t left) {
  return bytes.substr(0, left);
}

std::vector<Hostile> hostile_files() {
  constexpr uint64_t kHuge = uint64_t{1} << 60;
  std::vector<Hostile> files = {
      {"empty", "", "magic: expected 4 bytes"},
      {"three_bytes", "GGU", "magic: expected 4 bytes"},
      {"wrong_magic", GgufBuilder().raw("GGML").zeros(60).bytes(), "magic: expected GGUF"},
      {"text", "This is not a model at all, but some text.", "magic: expected GGUF"},
      {"big_endian_magic", GgufBuilder().raw("FUGG").zeros(60).bytes(), "big-endian"},
      {"big_endian_version", GgufBuilder().raw("GGUF").put(uint32_t{0x03000000}).zeros(60).bytes(),
       "big-endian"},
      {"version_0", GgufBuilder().header(0, 0, 0).bytes(), "version: expected 2 or 3, found 0"},
      {"version_1", GgufBuilder().header(0, 0, 1).bytes(), "version: expected 2 or 3, found 1"},
      {"version_4", GgufBuilder().header(0, 0, 4).bytes(), "version: expected 2 or 3, found 4"},
      {"no_version", "GGUF", "version: expected 4 bytes"},
      {"no_counts", GgufBuilder().raw("GGUF").put(uint32_t{3}).bytes(), "tensor count: expected 8 bytes"},
      {"no_metadata_count", GgufBuilder().raw("GGUF").put(uint32_t{3}).put(uint64_t{0}).bytes(),
       "metadata count"},
      {"huge_tensor_count", start(kHuge, 0).zeros(100).bytes(), "tensor count: expected at most"},
      {"largest_tensor_count", start(UINT64_MAX, 0).zeros(100).bytes(), "tensor count: expected at most"},
      {"huge_metadata_count", start(0, kHuge).zeros(100).bytes(), "metadata count: expected at most"},
      {"metadata_count_without_entries", start(0, 1).bytes(), "metadata count: expected at most 0"},
      {"tensor_count_one_too_many", start(2, 0).tensor("w", 32, 1, kTypeF32, 0).pad(32).zeros(128).bytes(),
       "tensor 1"},
      {"key_longer_than_file", start(0, 1).put(uint64_t{500}).raw("key").zeros(20).bytes(), "metadata key 0"},
      {"key_length_overflows", start(0, 1).put(UINT64_MAX).zeros(20).bytes(),
       "metadata key 0: expected at most"},
      {"key_too_long", start(0, 1).text(std::string(70'000, 'k')).put(kU8).zeros(8).bytes(),
       "expected at most 65536"},
      {"empty_key", start(0, 1).key("", kU32).zeros(8).bytes(), "metadata key 0: expected a name"},
      {"duplicate_key", start(0, 2).entry_u32("k", 1).entry_u32("k", 2).bytes(), "k: expected each key once"},
      {"value_type_13", start(0, 1).key("k", 13).zeros(8).bytes(),
       "expected a value type of 0 to 12, found 13"},
      {"value_type_largest", start(0, 1).key("k", UINT32_MAX).zeros(8).bytes(), "value type of 0 to 12"},
      {"no_value_type", start(0, 1).text("four").put(uint8_t{0}).bytes(), "four (type): expected 4 bytes"},
      {"no_value", start(0, 1).key("k", kU64).put(uint32_t{0}).bytes(), "k: expected 8 bytes"},
      {"bool_2", start(0, 1).key("k", kBool).put(uint8_t{2}).zeros(8).bytes(),
       "k: expected bool 0 or 1, found 2"},
      {"string_longer_than_file", start(0, 1).key("k", kString).put(uint64_t{99}).raw("abc").bytes(),
       "length of 99"},
      {"string_length_overflows", start(0, 1).key("k", kString).put(UINT64_MAX - 7).zeros(9).bytes(),
       "k: expected"},
      {"array_count_huge", start(0, 1).key("k", kArray).put(kU8).put(kHuge).zeros(9).bytes(),
       "k: expected at most 9"},
      {"array_count_overflows",
       start(0, 1).key("k", kArray).put(kU64).put(UINT64_MAX / 8 + 1).zeros(9).bytes(),
       "k: expected at most 1 elements"},
      {"array_of_strings_huge",
       start(0, 1).key("k", kArray).put(kString).put(uint64_t{1000}).zeros(90).bytes(),
       "k: expected at most 11 elements"},
      {"array_string_longer_than_file",
       start(0, 1).key("k", kArray).put(kString).put(uint64_t{1}).put(uint64_t{50}).zeros(9).bytes(),
       "length of 50"},
      {"array_of_arrays",
       start(0, 1)
           .key("k", kArray)
           .put(kArray)
           .put(uint64_t{1})
           .put(kArray)
           .put(uint64_t{1})
           .zeros(64)
           .bytes(),
       "array of arrays"},
      {"array_type_unknown", start(0, 1).key("k", kArray).put(uint32_t{77}).put(uint64_t{1}).zeros(9).bytes(),
       "value type of 0 to 12, found 77"},
      {"array_bool_2",
       start(0, 1).key("k", kArray).put(kBool).put(uint64_t{1}).put(uint8_t{2}).zeros(9).bytes(),
       "bool 0 or 1"},
      {"alignment_0", start(0, 1).entry_u32("general.alignment", 0).bytes(),
       "general.alignment: expected a power of"},
      {"alignment_48", start(0, 1).entry_u32("general.alignment", 48).bytes(), "expected a power of two"},
      {"alignment_huge", start(0, 1).entry_u32("general.alignment", 1U << 31).bytes(), "general.alignment"},
      {"alignment_float", start(0, 1).key("general.alignment", kF32Value).put(32.0F).bytes(),
       "expected an integer"},
      {"alignment_text", start(0, 1).key("general.alignment", kString).text("32").bytes(),
       "expected an integer"},
      {"tensor_without_name", start(1, 0).tensor("", 32, 1, kTypeF32, 0).pad(32).zeros(128).bytes(),
       "expected a name"},
      {"tensor_name_too_long",
       start(1, 0).tensor(std::string(70'000, 't'), 32, 1, kTypeF32, 0).pad(32).zeros(128).bytes(),
       "at most 65536"},
      {"duplicate_tensor",
       start(2, 0)
           .tensor("w", 32, 1, kTypeF32, 0)
           .tensor("w", 32, 1, kTypeF32, 128)
           .pad(32)
           .zeros(256)
           .bytes(),
       "tensor w: expected each name once"},
      {"no_dimensions",
       start(1, 0).text("w").put(uint32_t{0}).put(kTypeF32).put(uint64_t{0}).zeros(64).bytes(),
       "expected 1 to 4 dimensions, found 0"},
      {"five_dimensions", start(1, 0).text("w").put(uint32_t{5}).zeros(200).bytes(),
       "1 to 4 dimensions, found 5"},
      {"many_dimensions", start(1, 0).text("w").put(UINT32_MAX).zeros(200).bytes(), "1 to 4 dimensions"},
      {"zero_columns", one_tensor(0, 2).zeros(256).bytes(), "tensor w: expected a shape"},
      {"zero_rows", one_tensor(32, 0).zeros(256).bytes(), "tensor w: expected a shape"},
      {"elements_overflow", one_tensor(kHuge, kHuge).zeros(256).bytes(), "below 2^64 elements"},
      {"bytes_overflow", one_tensor(uint64_t{1} << 62, 2).zeros(256).bytes(), "fewer than 2^64 bytes"},
      {"block_columns", one_tensor(33, 2, kTypeQ8_0).zeros(256).bytes(),
       "columns in multiples of 32 for Q8_0, found 33"},
      {"k_block_columns", one_tensor(128, 2, kTypeQ4_K).zeros(256).bytes(), "columns in multiples of 256"},
      // 2^58 rows of 32 codes are 2^63 elements; with their headers they are more bytes than 2^64.
      {"row_headers_overflow", one_tensor(32, uint64_t{1} << 58, kTypeQ8_R).zeros(256).bytes(),
       "expected 11529215046068469760 bytes of data"},
      {"row_headers_overflow_more", one_tensor(32, (uint64_t{1} << 58) * 7 / 4, kTypeQ8_R).zeros(256).bytes(),
       "fewer than 2^64 bytes"},
      {"row_header_of_the_longest_row", one_tensor(UINT64_MAX - 31, 1, kTypeQ8_R).zeros(256).bytes(),
       "the file ends at"},
      {"row_codes_cut", one_tensor(32, 2, kTypeQ8_R).zeros(79).bytes(), "expected 80 bytes of data"},
      {"row_columns", one_tensor(33, 2, kTypeQ8_R).zeros(256).bytes(), "multiples of 32 for Q8_R, found 33"},
      {"own_type_unknown", one_tensor(32, 2, 1'000'004).zeros(256).bytes(), "found type number 1000004"},
      {"tensor_type_removed", one_tensor(32, 2, 4).zeros(256).bytes(), "found type number 4"},
      {"tensor_type_unknown", one_tensor(32, 2, 9999).zeros(256).bytes(), "found type number 9999"},
      {"offset_not_aligned", one_tensor(32, 2, kTypeF32, 8).zeros(300).bytes(),
       "offset in multiples of 32, found 8"},
      {"offset_beyond_file", one_tensor(32, 2, kTypeF32, 1024).zeros(256).bytes(), "the file ends at"},
      {"offset_overflows", one_tensor(32, 2, kTypeF32, UINT64_MAX - 31).zeros(256).bytes(),
       "tensor w: expected"},
      {"data_cut", one_tensor().zeros(255).bytes(), "expected 256 bytes of data"},
      {"no_data", one_tensor().bytes(), "expected 256 bytes of data"},
      {"tensors_overlap",
       start(2, 0)
           .tensor("a", 32, 2, kTypeF32, 0)
           .tensor("b", 32, 2, kTypeF32, 224)
           .pad(32)
           .zeros(512)
           .bytes(),
       "tensor b: expected its data after that of a"},
      {"tensors_at_the_same_place",
       start(2, 0).tensor("a", 32, 2, kTypeF32, 0).tensor("b", 32, 2, kTypeF32, 0).pad(32).zeros(512).bytes(),
       "expected its data after that of"},
  };
  static std::vector<std::string> names;
  const std::string good = good_file();
  for (const size_t left : {5U, 11U, 23U, 30U, 60U, 90U, 130U, 200U, 400U}) {
    static std::array<std::string, 1000> kept;
    kept[left] = "good_file_cut_at_" + std::to_string(left);
    files.push_back({kept[left].c_str(), cut(good, left), ""});
  }
  return files;
}

class HostileFileTest : public testing::TestWithParam<Hostile> {};

TEST_P(HostileFileTest, IsRefused) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("hostile.gguf");
  GgufBuilder().raw(GetParam().bytes).write(path);
  try {
    const Reader reader(path);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadFile) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(path));
    EXPECT_THAT(error.what(), HasSubstr(GetParam().message));
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, HostileFileTest, testing::ValuesIn(hostile_files()),
                         [](const auto& test) { return std::string(test.param.name); });

// A file that says it is a terabyte and has nothing in it: its counts are no reason to take memory.
TEST(HostileFile, SparseFilesTakeNoMemory) {
  constexpr uint64_t kTerabyte = uint64_t{1} << 40;
  constexpr uint64_t kLong = uint64_t{1} << 36;
  const std::pair<GgufBuilder, const char*> files[] = {
      {start(0, 1).key("a", kString).put(kLong), "a: expected at most"},
      {start(0, 1).text("a").put(kArray).put(kString).put(kLong), "a: expected at most"},
      {start(0, 1).text("a").put(kArray).put(kU64).put(kLong), "a: expected at most"},
      {start(0, 1).text("a").put(kArray).put(kU8).put(uint64_t{200 << 20}), "a: expected at most"},
      {start(0, kLong), "metadata count: expected at most"},
      {start(kLong, 0), "tensor count: expected at most"},
  };
  const TemporaryDirectory directory;
  const std::string path = directory.file("sparse.gguf");
  for (const auto& [file, message] : files) {
    file.write(path);
    std::error_code refused;
    std::filesystem::resize_file(path, kTerabyte, refused);
    if (refused) GTEST_SKIP() << "this file system has no files of a terabyte";
    try {
      const Reader reader(path);
      FAIL() << "accepted";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(message));
    }
  }
}

// Small numbers take 8 bytes in memory, so their count is limited, over all arrays together.
TEST(HostileFile, ArraysHaveFewNumbers) {
  constexpr uint64_t kMany = 5 << 20;
  GgufBuilder builder = start(0, 2);
  for (const char* key : {"a", "b"}) builder.key(key, kArray).put(kU8).put(kMany).zeros(kMany);
  const TemporaryDirectory directory;
  const std::string path = directory.file("numbers.gguf");
  builder.write(path);
  try {
    const Reader reader(path);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("b: expected at most"));
  }
}

TEST(HostileFile, AtLeastFortyKinds) {
  EXPECT_GE(hostile_files().size(), 40U);
}

TEST(HostileFile, TheGoodFileIsAccepted) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("good.gguf");
  GgufBuilder().raw(good_file()).write(path);
  const Reader reader(path);
  EXPECT_EQ(reader.tensors().size(), 2U);
  EXPECT_EQ(reader.metadata().get_string("name"), "good");
}

}  // namespace
}  // namespace stonechat::gguf
