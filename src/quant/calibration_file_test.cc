// Calibration files: what is written is read, and what isn't one is refused by name.
#include "quant/calibration_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>

#include "base/error.h"
#include "gguf/writer.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

CalibrationStats small_stats() {
  CalibrationStats stats;
  stats.model = "tiny";
  stats.architecture = "qwen2";
  stats.file_type = "F32";
  stats.shape = {
      .layers = 2, .width = 6, .heads = 4, .kv_heads = 2, .head_dim = 2, .mlp_width = 5, .vocabulary = 9};
  stats.text = "text.txt";
  stats.text_sha256 = "00";
  stats.chunks = 3;
  stats.chunk_size = 64;
  float next = 0;
  const auto value = [&] { return next += 0.25F; };
  const auto summary = [&] {
    const float start = value();
    return ActivationSummary{-start, start + 9, start, value(), start + 1, start + 2, start + 3};
  };
  for (const TapPlace& place : all_taps(stats.shape.layers)) {
    TapStats tap{.place = place, .summary = summary()};
    for (uint32_t head = 0; head < stats.shape.own_heads(place.tap); ++head) tap.heads.push_back(summary());
    for (uint32_t channel = 0; channel < stats.shape.channels(place.tap); ++channel) {
      tap.minima.push_back(-value());
      tap.maxima.push_back(value());
      tap.means.push_back(tap.maxima.back() / 2);
      tap.mean_squares.push_back(value());
    }
    stats.taps.push_back(tap);
  }
  stats.key_biases = {{1, 2, 3, 4}, {5, 6, 7, -211}};
  stats.schemes = {"q8_0", "q8_t"};
  stats.weights.push_back({"blk.0.attn_q.weight", 8, 6, {-1, 1.5, 0.25, 0.5}, 3.5, {0.0078125, 0.5}});
  stats.weights.push_back({"token_embd.weight", 9, 6, {-2, 1.5, 0.25, 0.5}, 3, {-1, 0.25}});
  return stats;
}

bool equal(const ActivationSummary& a, const ActivationSummary& b) {
  return a.minimum == b.minimum && a.maximum == b.maximum && a.mean == b.mean && a.deviation == b.deviation &&
         a.p99 == b.p99 && a.p99_9 == b.p99_9 && a.p99_99 == b.p99_99;
}

// A file's parts, to be changed and written again.
struct Parts {
  gguf::Metadata metadata;
  std::vector<gguf::TensorSpec> specs;
  std::map<std::string, std::vector<float>> values;

  gguf::TensorSpec& spec(std::string_view name) {
    return *std::find_if(specs.begin(), specs.end(), [&](const auto& spec) { return spec.name == name; });
  }
};

class CalibrationFileTest : public testing::Test {
 protected:
  // The error after a change to a good file's parts.
  std::string error_after(const std::function<void(Parts&)>& change) {
    const std::string path = directory_.file("stats.gguf");
    write_calibration(path, small_stats());
    Parts parts;
    {
      const gguf::Reader file(path);
      parts.metadata = file.metadata();
      for (const auto& tensor : file.tensors()) {
        parts.specs.push_back({tensor.name, tensor.type, tensor.shape});
        auto& values = parts.values[tensor.name];
        values.resize(tensor.elements());
        file.read_rows(tensor, 0, tensor.rows(), std::as_writable_bytes(std::span(values)));
      }
    }
    change(parts);
    gguf::Writer writer(path, parts.metadata, parts.specs);
    for (const auto& spec : parts.specs) {
      std::vector<float>& values = parts.values[spec.name];
      values.resize((spec.bytes() + sizeof(float) - 1) / sizeof(float));
      writer.write_tensor_data(std::as_bytes(std::span(values)).first(spec.bytes()));
    }
    writer.finish();
    try {
      read_calibration(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadFile) << error.what();
      EXPECT_THAT(error.what(), HasSubstr("stats.gguf"));
      return error.what();
    }
    return "no error";
  }
  std::string error_with(const char* key, const gguf::Value& value) {
    return error_after(
        [&](Parts& parts) { parts.metadata.set(std::string("stonechat.calibration.") + key, value); });
  }

  const TemporaryDirectory directory_;
};

TEST_F(CalibrationFileTest, ReadsWhatIsWritten) {
  const std::string path = directory_.file("stats.gguf");
  const CalibrationStats written = small_stats();
  write_calibration(path, written);
  const CalibrationStats read = read_calibration(path);
  EXPECT_EQ(read.model, "tiny");
  EXPECT_EQ(read.shape, written.shape);
  EXPECT_EQ(read.tokens(), 192U);
  ASSERT_EQ(read.taps.size(), 26U);
  for (size_t i = 0; i < read.taps.size(); ++i) {
    const TapStats& a = read.taps[i];
    const TapStats& b = written.taps[i];
    EXPECT_TRUE(equal(a.summary, b.summary));
    ASSERT_EQ(a.heads.size(), b.heads.size());
    for (size_t head = 0; head < a.heads.size(); ++head) EXPECT_TRUE(equal(a.heads[head], b.heads[head]));
    EXPECT_EQ(a.minima, b.minima);
    EXPECT_EQ(a.maxima, b.maxima);
    EXPECT_EQ(a.means, b.means);
    EXPECT_EQ(a.mean_squares, b.mean_squares);
  }
  EXPECT_EQ(read.key_biases, written.key_biases);
  EXPECT_EQ(read.schemes, written.schemes);
  ASSERT_EQ(read.weights.size(), 2U);
  EXPECT_EQ(read.weights[1].errors, written.weights[1].errors);
  EXPECT_EQ(read.weights[0].kurtosis, 3.5);
  EXPECT_EQ(read.tap(Tap::kKeyOut, 1).place.name(), "blk.1.attn_k.out");
  EXPECT_EQ(read.tap(Tap::kHeadOut, 0).place.name(), "output.out");
}

TEST(TapStats, OutliersAreBeyondSixMedians) {
  TapStats tap{.place = {Tap::kQkvIn, 0}};
  tap.minima = {-1, -6.5, 0, 0, -20, 0};
  tap.maxima = {0, 1, 6, 1, 3, 0.5};
  EXPECT_EQ(tap.median_channel(), 1);
  EXPECT_THAT(tap.outliers(), ElementsAre(4, 1));
}

TEST_F(CalibrationFileTest, RefusesMetadataThatIsNotIts) {
  using gguf::Value;
  EXPECT_THAT(error_after([](Parts& parts) {
                parts.metadata.set("general.architecture", Value::of_string("qwen2"));
              }),
              HasSubstr("general.architecture: expected stonechat-calibration, found 'qwen2'"));
  EXPECT_THAT(error_after([](Parts& parts) { parts.metadata.erase("general.architecture"); }),
              HasSubstr("general.architecture: expected string, found nothing"));
  EXPECT_THAT(error_with("version", Value::of_uint32(2)), HasSubstr("version: expected 1, found 2"));
  EXPECT_THAT(error_with("layers", Value::of_uint32(0)), HasSubstr("layers: expected 1 to 1024, found 0"));
  EXPECT_THAT(error_with("layers", Value::of_uint32(1000)), HasSubstr("tensor count: expected"));
  EXPECT_THAT(error_with("head_dim", Value::of_uint32(1U << 31)), HasSubstr("head_dim: expected 1 to 1024"));
  EXPECT_THAT(error_with("width", Value::of_string("6")),
              HasSubstr("width: expected an integer, found string"));
  EXPECT_THAT(error_with("width", Value::of_uint32(7)),
              HasSubstr("blk.0.attn_qkv.in.channels: expected shape [7, 4], found [6, 4]"));
  EXPECT_THAT(error_with("kv_heads", Value::of_uint32(1)),
              HasSubstr("blk.0.attn_k.out.channels: expected shape"));
  EXPECT_THAT(error_with("chunks", Value::of_uint32(0)), HasSubstr("chunks: expected 1 to"));
  EXPECT_THAT(error_with("key_biases", Value::of_bool(false)), HasSubstr("tensor count"));
  EXPECT_THAT(error_after([](Parts& parts) { parts.metadata.erase("stonechat.calibration.key_biases"); }),
              HasSubstr("key_biases: expected bool, found nothing"));
  EXPECT_THAT(error_with("model", Value::of_uint32(1)), HasSubstr("model: expected string, found uint32"));
}

TEST_F(CalibrationFileTest, RefusesNamesThatAreNot) {
  const auto names = [](std::vector<std::string> texts) {
    return gguf::Value{gguf::ValueType::kArray, gguf::ValueType::kString,
                       gguf::Array(gguf::StringArray(texts))};
  };
  const auto sizes = [](std::vector<int64_t> values) {
    return gguf::Value{gguf::ValueType::kArray, gguf::ValueType::kUint64, gguf::Array(std::move(values))};
  };
  EXPECT_THAT(error_with("weights", names({"a", "a"})), HasSubstr("expected each name once, found a twice"));
  EXPECT_THAT(error_with("weights", names({"a", "<script>"})), HasSubstr("found '<script>'"));
  EXPECT_THAT(error_with("weights", names({"a", ""})), HasSubstr("expected names of 1 to 128"));
  EXPECT_THAT(error_with("weights", names({"a", std::string(200, 'b')})),
              HasSubstr("expected names of 1 to 128"));
  EXPECT_THAT(error_with("weights", names({"a"})),
              HasSubstr("weight_rows: expected one number for each of the 1"));
  EXPECT_THAT(error_with("weights", gguf::Value::of_uint32(1)), HasSubstr("weights: expected"));
  EXPECT_THAT(error_with("schemes", names({"q8_0"})), HasSubstr("weights.errors: expected shape [1, 2]"));
  EXPECT_THAT(error_with("weight_cols", sizes({6, 0})),
              HasSubstr("weight_cols: expected 1 or more, found 0"));
  EXPECT_THAT(error_with("weight_cols", sizes({6, INT64_MIN})), HasSubstr("weight_cols: expected 1 or more"));
}

TEST_F(CalibrationFileTest, RefusesTensorsThatAreNotIts) {
  EXPECT_THAT(error_after([](Parts& parts) { parts.specs.pop_back(); }), HasSubstr("tensor count: expected"));
  EXPECT_THAT(error_after([](Parts& parts) { parts.specs.back().name = "weights.terrors"; }),
              HasSubstr("tensor weights.errors is missing"));
  EXPECT_THAT(error_after([](Parts& parts) {
                parts.specs.push_back({"more", gguf::TensorType::kF32, {1}});
              }),
              HasSubstr("tensor count"));
  EXPECT_THAT(
      error_after([](Parts& parts) { parts.spec("output.in.summary").type = gguf::TensorType::kF16; }),
      HasSubstr("output.in.summary: expected F32, found F16"));
  EXPECT_THAT(error_after([](Parts& parts) { parts.spec("output.in.summary").shape = {7}; }),
              HasSubstr("output.in.summary: expected shape [7, 1], found [7]"));
}

TEST_F(CalibrationFileTest, RefusesValuesThatCannotBe) {
  const auto with = [&](const std::string& tensor, size_t index, float value) {
    return error_after([&](Parts& parts) { parts.values.at(tensor)[index] = value; });
  };
  EXPECT_THAT(with("output.in.channels", 3, NAN),
              HasSubstr("output.in.channels: expected finite values, found nan"));
  EXPECT_THAT(with("output.in.channels", 3, 1e6F), HasSubstr("expected minimum <= mean <= maximum"));
  EXPECT_THAT(with("output.in.channels", 12, 1e6F), HasSubstr("expected minimum <= mean <= maximum"));
  EXPECT_THAT(with("output.in.channels", 18, -1), HasSubstr("mean squares of 0 or more, found -1"));
  EXPECT_THAT(with("output.in.summary", 0, 1e6F), HasSubstr("expected minimum <= mean <= maximum"));
  EXPECT_THAT(with("output.in.summary", 2, -1e6F), HasSubstr("expected minimum <= mean <= maximum"));
  EXPECT_THAT(with("output.in.summary", 3, -1), HasSubstr("deviations and mean squares of 0 or more"));
  EXPECT_THAT(with("output.in.summary", 4, 1e6F), HasSubstr("expected percentiles from 0 up"));
  EXPECT_THAT(with("output.in.summary", 4, -1), HasSubstr("expected percentiles from 0 up"));
  EXPECT_THAT(with("blk.1.attn_k.out.summary", 20, 1e6F), HasSubstr("expected percentiles from 0 up"));
  EXPECT_THAT(with("blk.1.attn_k.bias", 0, INFINITY), HasSubstr("attn_k.bias: expected finite values"));
  EXPECT_THAT(with("weights.moments", 0, 1e6F), HasSubstr("expected minimum <= mean <= maximum"));
  EXPECT_THAT(with("weights.moments", 2, -1.001F), HasSubstr("expected minimum <= mean <= maximum"));
  EXPECT_EQ(with("weights.moments", 2, -1.000001F), "no error");
  EXPECT_THAT(with("weights.moments", 9, -1), HasSubstr("kurtosis of 0 or more for token_embd.weight"));
  EXPECT_THAT(with("weights.errors", 0, -0.5F), HasSubstr("weights.errors: expected 0 or more, or -1"));
}

}  // namespace
}  // namespace stonechat
