#include "model/tuning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/cpu_features.h"
#include "base/error.h"
#include "kernels/dispatch.h"
#include "model/test_model.h"
#include "model/tuning_file.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using testing::HasSubstr;

const TuningKey kKey = {.cpu = "Some \"CPU\" 9000",
                        .processors = "0-3,8, 5 usable",
                        .kernels = "scalar",
                        .version = "0.1.0",
                        .model = "qwen2 Q8_0: layers 2"};
const Tuning kOdd = {.token_block = 144,
                     .mlp_piece = 96,
                     .batch = 77,
                     .few_tokens = 3,
                     .prompt_threads = 5,
                     .decode_threads = 2};

template <typename Body>
std::string error_of(ErrorKind kind, Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
  return "no error";
}

std::string parse_error(const std::string& json) {
  return error_of(ErrorKind::kBadFile, [&] { parse_tuning(json, kKey, "t.json"); });
}

std::string check_error(const Tuning& tuning) {
  return error_of(ErrorKind::kUsage, [&] { check(tuning); });
}

// The file of kOdd with one piece of its text replaced.
std::string changed(const std::string& from, const std::string& to) {
  std::string text = to_json(kOdd, kKey);
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Tuning, DefaultsAndOddValuesAreInRange) {
  EXPECT_NO_THROW(check(Tuning{}));
  EXPECT_NO_THROW(check(kOdd));
}

TEST(Tuning, RefusesValuesOutOfRange) {
  EXPECT_THAT(check_error({.token_block = 0}), HasSubstr("token_block: expected 48 to 768 tokens"));
  EXPECT_THAT(check_error({.token_block = 90}), HasSubstr("multiples of 48, found 90"));
  EXPECT_THAT(check_error({.token_block = 780}), HasSubstr("found 780"));
  EXPECT_THAT(check_error({.mlp_piece = 48}), HasSubstr("mlp_piece: expected 32 to 1024 columns"));
  EXPECT_THAT(check_error({.batch = 0}), HasSubstr("batch: expected 1 to 65536 tokens, found 0"));
  EXPECT_THAT(check_error({.few_tokens = 513}), HasSubstr("few_tokens"));
  EXPECT_THAT(check_error({.prompt_threads = 1025, .decode_threads = 1}), HasSubstr("prompt_threads"));
  EXPECT_THAT(check_error({.prompt_threads = 2}), HasSubstr("decode_threads: expected 1 or more"));
  EXPECT_THAT(check_error({.decode_threads = 2}), HasSubstr("decode_threads: expected 0"));
}

TEST(Tuning, BlocksBeginWhereEveryTableBeginsAGroup) {
  for (const KernelTable* table : compiled_kernel_tables()) {
    for (const LinearKernels* linear : table->linear) {
      if (linear != nullptr) {
        EXPECT_EQ(kTokenStep % linear->tile_tokens, 0U) << table->name;
      }
    }
  }
}

TEST(TuningFile, GivesBackWhatWasStored) {
  EXPECT_EQ(parse_tuning(to_json(kOdd, kKey), kKey, "t.json"), kOdd);
  EXPECT_EQ(parse_tuning(to_json({}, kKey), kKey, "t.json"), Tuning{});
}

TEST(TuningFile, NamesTheFieldThatIsWrong) {
  EXPECT_THAT(parse_error(""), HasSubstr("t.json: expected JSON"));
  EXPECT_THAT(parse_error("[1]"), HasSubstr("t.json: expected a JSON object"));
  EXPECT_THAT(parse_error(to_json(kOdd, kKey).substr(0, 100)), HasSubstr("expected JSON"));
  EXPECT_THAT(parse_error("{}"), HasSubstr("key: expected an object, found nothing"));
  EXPECT_THAT(parse_error("{\"key\": 7}"), HasSubstr("key: expected an object, found 7"));
  EXPECT_THAT(parse_error(changed("\"tuning\"", "\"turning\"")),
              HasSubstr("tuning: expected an object, found nothing"));
  EXPECT_THAT(parse_error(changed("\"batch\": 77", "\"batch\": 0")),
              HasSubstr("t.json: tuning.batch: expected an integer from 1 to 65536, found 0"));
  EXPECT_THAT(parse_error(changed("\"batch\": 77", "\"batch\": -1")), HasSubstr("tuning.batch: "));
  EXPECT_THAT(parse_error(changed("\"batch\": 77", "\"batch\": 4294967808")), HasSubstr("4294967808"));
  EXPECT_THAT(parse_error(changed("\"batch\": 77", "\"batch\": 1e999")), HasSubstr("t.json: "));
  EXPECT_THAT(parse_error(changed("\"batch\": 77", "\"batch\": \"77\"")),
              HasSubstr("tuning.batch: expected an integer from 1 to 65536, found '77'"));
  EXPECT_THAT(parse_error(changed("\"batch\"", "\"botch\"")), HasSubstr("tuning.batch: expected an integer"));
  EXPECT_THAT(parse_error(changed("\"batch\": 77", "\"batch\": 77, \"batch\": 78")),
              HasSubstr("found 'batch' again"));
  EXPECT_THAT(parse_error(changed("\"batch\": 77", "\"batch\": 77, \"x\\ny\": 1")),
              HasSubstr("tuning.x\\ny: no such field"));
  EXPECT_THAT(parse_error(changed("\"decode_threads\": 2", "\"decode_threads\": 0")),
              HasSubstr("tuning.decode_threads: expected 1 or more"));
}

TEST(TuningFile, RefusesAnotherKey) {
  EXPECT_THAT(parse_error(changed("9000", "9001")), HasSubstr("key.cpu: expected 'Some"));
  EXPECT_THAT(parse_error(changed("5 usable", "4 usable")), HasSubstr("key.processors"));
  EXPECT_THAT(parse_error(changed("scalar", "vector")), HasSubstr("key.kernels"));
  EXPECT_THAT(parse_error(changed("0.1.0", "0.1.1")), HasSubstr("key.version"));
  EXPECT_THAT(parse_error(changed("layers 2", "layers 3")), HasSubstr("key.model"));
  EXPECT_THAT(parse_error(changed("\"cpu\"", "\"gpu\"")), HasSubstr("found nothing"));
}

TEST(TuningFile, HasAPathOfItsOwnForEachKey) {
  std::set<std::string> paths = {tuning_path("d", kKey)};
  EXPECT_TRUE(paths.begin()->starts_with("d/tuning/") && paths.begin()->ends_with(".json"));
  EXPECT_EQ(tuning_path("d", kKey), *paths.begin());
  for (const auto field : {&TuningKey::cpu, &TuningKey::processors, &TuningKey::kernels, &TuningKey::version,
                           &TuningKey::model}) {
    TuningKey other = kKey;
    other.*field += "x";
    EXPECT_TRUE(paths.insert(tuning_path("d", other)).second);
  }
}

TEST(TuningFile, IsFoundByItsKey) {
  const TemporaryDirectory directory;
  EXPECT_EQ(find_tuning(directory.path(), kKey), std::nullopt);
  const std::string path = tuning_path(directory.path(), kKey);
  std::filesystem::create_directory(directory.file("tuning"));
  std::ofstream(path) << to_json(kOdd, kKey);
  EXPECT_EQ(find_tuning(directory.path(), kKey), kOdd);
  std::ofstream(path) << std::string(20'000, ' ');
  EXPECT_THAT(error_of(ErrorKind::kBadFile, [&] { find_tuning(directory.path(), kKey); }),
              HasSubstr("expected at most 16384 bytes, found 20000"));
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  EXPECT_THAT(error_of(ErrorKind::kIo, [&] { find_tuning(directory.path(), kKey); }), HasSubstr(path));
}

TEST(TuningKey, TellsMachineAndModel) {
  const TemporaryDirectory directory;
  TestModel model;
  model.make(4);
  const auto key_of = [&](gguf::TensorType type) {
    model.write(directory.file("model.gguf"), type, model.metadata());
    const gguf::Reader file(directory.file("model.gguf"));
    return TuningKey::of(file, ModelConfig::from(file), kernels(), "1.2.3");
  };
  const TuningKey key = key_of(gguf::TensorType::kQ8_0);
  EXPECT_EQ(key.model, "qwen2 Q8_0: layers 2, width 64, heads 4 + 2 of 32, MLP 96, vocabulary 50");
  EXPECT_EQ(key.kernels, kernels().name);
  EXPECT_EQ(key.version, "1.2.3");
  EXPECT_THAT(key.processors, HasSubstr(processor_set()));
  EXPECT_NE(key_of(gguf::TensorType::kF32), key);
}

}  // namespace
}  // namespace stonechat
