// Packed files: what is written is what loading packs, and whatever is wrong with a file is refused.
#include "model/packed_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include "base/error.h"
#include "kernels/dispatch.h"
#include "model/executor.h"
#include "model/test_model.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using gguf::Value;
using testing::HasSubstr;

TestModel small_model(const std::string& architecture = "qwen2", bool separate_head = false) {
  TestModel model;
  model.architecture = architecture;
  model.separate_head = separate_head;
  model.bias = architecture == "qwen2";
  model.make(1);
  return model;
}

std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

Weights load(const std::string& path, const KernelTable& table, ThreadPool& pool) {
  return Weights::load(gguf::Reader(path), table, pool, {});
}

void pack(const std::string& in, const std::string& out, const KernelTable& table, ThreadPool& pool) {
  write_packed(gguf::Reader(in), table, out, pool, {}, {});
}

std::vector<float> logits_of(const Weights& weights, const KernelTable& table, ThreadPool& pool) {
  Executor executor(weights, table, pool);
  KvCache cache(weights, 32);
  const std::vector<int32_t> tokens = {3, 1, 4, 1, 5, 9, 2, 6};
  executor.forward(cache, tokens);
  const auto logits = executor.last_logits();
  return {logits.begin(), logits.end()};
}

TEST(PackedFile, HoldsWhatLoadingPacks) {
  const TemporaryDirectory directory;
  const std::string plain = directory.file("plain.gguf");
  const std::string packed = directory.file("packed.gguf");
  ThreadPool pool(2);
  for (const auto* architecture : {"qwen2", "llama"}) {
    for (const auto type : {gguf::TensorType::kF32, gguf::TensorType::kF16, gguf::TensorType::kBF16,
                            gguf::TensorType::kQ8_0, gguf::TensorType::kQ8_R, gguf::TensorType::kQ4_0}) {
      const TestModel model = small_model(architecture, type == gguf::TensorType::kF16);
      model.write(plain, type, model.metadata());
      for (const KernelTable* compiled : compiled_kernel_tables()) {
        if (!is_supported(*compiled)) continue;
        SCOPED_TRACE(fmt::format("{} {} {}", architecture, gguf::name(type), compiled->name));
        const KernelTable table = kernels_up_to(compiled->name);
        pack(plain, packed, table, pool);
        const Weights expected = load(plain, table, pool);
        const Weights found = load(packed, table, pool);
        EXPECT_EQ(logits_of(found, table, pool), logits_of(expected, table, pool));
        EXPECT_EQ(found.parameters, expected.parameters);
        EXPECT_EQ(found.file_bytes, expected.file_bytes);
        EXPECT_EQ(found.file_type, expected.file_type);
        EXPECT_EQ(found.packed_bytes, expected.packed_bytes);
        EXPECT_EQ(found.layers[1].gate_up.bytes(), expected.layers[1].gate_up.bytes());
        EXPECT_EQ(std::memcmp(found.layers[1].gate_up.pack().data(), expected.layers[1].gate_up.pack().data(),
                              expected.layers[1].gate_up.bytes()),
                  0);
      }
    }
  }
}

// Tables whose layouts differ in what is packed, in one respect each.
size_t scalar_tile_bytes(uint32_t cols) noexcept {
  return kernels_up_to("scalar").linear[kWeightF32]->tile_bytes(cols);
}
void swapped_tile(const void* source, uint32_t rows, uint32_t cols, void* tile) noexcept {
  kernels_up_to("scalar").linear[kWeightF32]->pack_tile(source, rows, cols, tile);
  auto* bytes = static_cast<std::byte*>(tile);
  std::swap_ranges(bytes, bytes + 4, bytes + scalar_tile_bytes(cols) - 4);
}

TEST(PackedFile, FingerprintChangesWithTheLayout) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("plain.gguf");
  const TestModel model = small_model();
  model.write(path, gguf::TensorType::kF32, model.metadata());
  const ModelConfig config = ModelConfig::from(gguf::Reader(path));
  const std::vector<StackPlan> plans = all_stack_plans(config, false);
  const std::vector<WeightFormat> formats(plans.size(), kWeightF32);
  const KernelTable table = kernels_up_to("scalar");
  const std::string fingerprint = layout_fingerprint(plans, formats, config.head_dim, table);
  EXPECT_EQ(layout_fingerprint(plans, formats, config.head_dim, table), fingerprint);

  KernelTable changed = table;
  LinearKernels linear = *table.linear[kWeightF32];
  changed.linear[kWeightF32] = &linear;
  EXPECT_EQ(layout_fingerprint(plans, formats, config.head_dim, changed), fingerprint);
  linear.pack_tile = swapped_tile;
  EXPECT_NE(layout_fingerprint(plans, formats, config.head_dim, changed), fingerprint);

  auto reordered = plans;
  for (auto& plan : reordered) plan.parts[0].reorder_pairs = true;
  EXPECT_NE(layout_fingerprint(reordered, formats, config.head_dim, table), fingerprint);
  auto exchanged = plans;
  for (auto& plan : exchanged) std::reverse(plan.parts.begin(), plan.parts.end());
  EXPECT_NE(layout_fingerprint(exchanged, formats, config.head_dim, table), fingerprint);
  // Taking turns changes neither the first nor the last tile, whatever their rows.
  auto in_turns = plans;
  for (auto& plan : in_turns) {
    if (plan.parts.size() == 2) plan.turn_rows = plan.turn_rows == 0 ? 32 : 0;
  }
  EXPECT_NE(layout_fingerprint(in_turns, formats, config.head_dim, table), fingerprint);
  const std::vector<WeightFormat> halves(plans.size(), kWeightF16);
  EXPECT_NE(layout_fingerprint(plans, halves, config.head_dim, table), fingerprint);
}

// A packed file in pieces that can be changed and written again.
struct Pieces {
  gguf::Metadata metadata;
  std::vector<gguf::TensorSpec> specs;
  std::vector<std::vector<std::byte>> data;

  explicit Pieces(const std::string& path) {
    const gguf::Reader file(path);
    metadata = file.metadata();
    for (const auto& tensor : file.tensors()) {
      specs.push_back({tensor.name, tensor.type, tensor.shape});
      data.emplace_back(tensor.bytes);
      file.read_rows(tensor, 0, tensor.rows(), data.back());
    }
  }

  size_t index(const std::string& name) const {
    size_t i = 0;
    while (specs.at(i).name != name) ++i;
    return i;
  }
  void erase(const std::string& name) {
    const auto at = static_cast<std::ptrdiff_t>(index(name));
    specs.erase(specs.begin() + at);
    data.erase(data.begin() + at);
  }
  void add(const std::string& name, gguf::TensorType type, std::vector<uint64_t> shape) {
    specs.push_back({name, type, std::move(shape)});
    data.emplace_back(specs.back().bytes());
  }
  void reshape(const std::string& name, gguf::TensorType type, std::vector<uint64_t> shape) {
    const size_t at = index(name);
    specs[at] = {name, type, std::move(shape)};
    data[at].resize(specs[at].bytes());
  }
  gguf::TensorSpec& spec(const std::string& name) { return specs[index(name)]; }
  void set(const std::string& key, Value value) { metadata.set(key, std::move(value)); }
  void set_texts(const std::string& key, const std::vector<std::string>& texts) {
    set(key, {gguf::ValueType::kArray, gguf::ValueType::kString, gguf::Array(gguf::StringArray(texts))});
  }

  void write(const std::string& path) const {
    gguf::Writer writer(path, metadata, specs);
    for (const auto& bytes : data) writer.write_tensor_data(bytes);
    writer.finish();
  }
};

struct Malformed {
  const char* name;
  std::function<void(Pieces&)> change;
  const char* message;
};

const std::vector<Malformed>& malformed_files() {
  using enum gguf::TensorType;
  static const auto number = [](uint32_t value) { return Value::of_uint32(value); };
  static const auto text = [](const char* value) { return Value::of_string(value); };
  static const std::string p = "stonechat.pack.";
  static const std::string qkv = "blk.0.attn_qkv.pack";
  static const std::vector<Malformed> files = {
      {"version_other", [](Pieces& f) { f.set(p + "version", number(2)); },
       "pack.version: found 2, this program wants 1; make the file again"},
      {"version_missing", [](Pieces& f) { f.metadata.erase(p + "version"); },
       "expected an integer, found nothing"},
      {"version_text", [](Pieces& f) { f.set(p + "version", text("1")); },
       "expected an integer, found string"},
      {"byte_order_other", [](Pieces& f) { f.set(p + "byte_order", text("big")); },
       "byte_order: found 'big', this machine wants little; make the file again"},
      {"byte_order_missing", [](Pieces& f) { f.metadata.erase(p + "byte_order"); },
       "byte_order: expected string"},
      {"isa_other", [](Pieces& f) { f.set(p + "isa", text("avx1024")); },
       "packed for the kernels 'avx1024', but"},
      {"isa_missing", [](Pieces& f) { f.metadata.erase(p + "isa"); },
       "pack.isa: expected string, found nothing"},
      {"isa_number", [](Pieces& f) { f.set(p + "isa", number(1)); },
       "pack.isa: expected string, found uint32"},
      {"fingerprint_other", [](Pieces& f) { f.set(p + "fingerprint", text("00")); },
       "fingerprint: found 00, the layout of the kernels"},
      {"fingerprint_missing", [](Pieces& f) { f.metadata.erase(p + "fingerprint"); },
       "fingerprint: expected string"},
      {"formats_missing", [](Pieces& f) { f.metadata.erase(p + "formats"); },
       "formats: expected array of string"},
      {"formats_none", [](Pieces& f) { f.set_texts(p + "formats", {}); },
       "formats: expected 9 elements, one a matrix, found 0"},
      {"formats_too_few", [](Pieces& f) { f.set_texts(p + "formats", {"Q8_0"}); }, "found 1"},
      {"formats_too_many",
       [](Pieces& f) { f.set_texts(p + "formats", std::vector<std::string>(10, "Q8_0")); }, "found 10"},
      {"format_unknown", [](Pieces& f) { f.set_texts(p + "formats", std::vector<std::string>(9, "Q4_K")); },
       "formats[0]: expected F32, F16, BF16, Q8_0, Q8_R or Q4_0, found 'Q4_K'"},
      {"formats_others", [](Pieces& f) { f.set_texts(p + "formats", std::vector<std::string>(9, "F32")); },
       "token_embd.pack: expected shape"},
      {"architecture_other", [](Pieces& f) { f.set(p + "architecture", text("gemma")); },
       "pack.architecture: expected qwen2 or llama, found 'gemma'"},
      {"architecture_missing", [](Pieces& f) { f.metadata.erase(p + "architecture"); },
       "pack.architecture: expected string"},
      {"architecture_itself", [](Pieces& f) { f.set(p + "architecture", text("stonechat-packed")); },
       "found 'stonechat-packed'"},
      {"vocabulary_none", [](Pieces& f) { f.set(p + "vocabulary", number(0)); },
       "vocabulary: expected 1 to 16777216, found 0"},
      {"vocabulary_huge", [](Pieces& f) { f.set(p + "vocabulary", number(UINT32_MAX)); },
       "vocabulary: expected 1 to"},
      {"vocabulary_large", [](Pieces& f) { f.set(p + "vocabulary", number(5000)); },
       "token_embd.pack: expected shape"},
      {"vocabulary_missing", [](Pieces& f) { f.metadata.erase(p + "vocabulary"); },
       "vocabulary: expected an integer"},
      {"parameters_missing", [](Pieces& f) { f.metadata.erase(p + "parameters"); },
       "parameters: expected an integer"},
      {"source_type_missing", [](Pieces& f) { f.metadata.erase(p + "source_type"); },
       "source_type: expected string"},
      {"source_bytes_negative",
       [](Pieces& f) {
         f.set(p + "source_bytes", {gguf::ValueType::kInt64, gguf::ValueType::kUint32, int64_t{-1}});
       },
       "source_bytes: expected 0 or more"},
      {"alignment_small", [](Pieces& f) { f.set("general.alignment", number(32)); },
       "general.alignment: expected a multiple of 4096, found 32"},
      {"matrix_missing", [](Pieces& f) { f.erase(qkv); }, "tensor blk.0.attn_qkv.pack is missing"},
      {"matrix_of_floats", [](Pieces& f) { f.reshape(qkv, kF32, f.spec(qkv).shape); },
       "blk.0.attn_qkv.pack: expected type I8, found F32"},
      {"tiles_longer",
       [](Pieces& f) {
         f.reshape(qkv, kI8, {f.spec(qkv).shape[0] + 64, f.spec(qkv).shape[1]});
       },
       "blk.0.attn_qkv.pack: expected shape"},
      {"tiles_shorter",
       [](Pieces& f) {
         f.reshape(qkv, kI8, {f.spec(qkv).shape[0] - 64, f.spec(qkv).shape[1]});
       },
       "blk.0.attn_qkv.pack: expected shape"},
      {"a_tile_less",
       [](Pieces& f) {
         f.reshape(qkv, kI8, {f.spec(qkv).shape[0], f.spec(qkv).shape[1] - 1});
       },
       "blk.0.attn_qkv.pack: expected shape"},
      {"a_tile_more",
       [](Pieces& f) {
         f.reshape(qkv, kI8, {f.spec(qkv).shape[0], f.spec(qkv).shape[1] + 1});
       },
       "blk.0.attn_qkv.pack: expected shape"},
      {"shape_exchanged",
       [](Pieces& f) {
         f.reshape(qkv, kI8, {f.spec(qkv).shape[1], f.spec(qkv).shape[0]});
       },
       "blk.0.attn_qkv.pack: expected shape"},
      {"shape_flat", [](Pieces& f) { f.reshape(qkv, kI8, {f.spec(qkv).bytes()}); },
       "blk.0.attn_qkv.pack: expected shape"},
      {"shape_of_three",
       [](Pieces& f) {
         f.reshape(qkv, kI8, {f.spec(qkv).shape[0], f.spec(qkv).shape[1], 1});
       },
       "blk.0.attn_qkv.pack: expected shape"},
      {"tensor_too_many",
       [](Pieces& f) {
         f.add("more.pack", kI8, {64, 2});
       },
       "more.pack: not one of this"},
      {"matrices_as_in_gguf",
       [](Pieces& f) {
         f.add("token_embd.weight", kF32, {64, 50});
       },
       "token_embd.weight: not one of this"},
      {"head_without_format", [](Pieces& f) { f.add("output.pack", kI8, f.spec("token_embd.pack").shape); },
       "formats: expected 10 elements"},
      {"norm_missing", [](Pieces& f) { f.erase("blk.1.ffn_norm.weight"); },
       "blk.1.ffn_norm.weight is missing"},
      {"norm_of_bytes", [](Pieces& f) { f.reshape("output_norm.weight", kI8, {64}); },
       "output_norm.weight: expected floats, found I8"},
      {"norm_too_long", [](Pieces& f) { f.reshape("output_norm.weight", kF32, {128}); },
       "output_norm.weight: expected shape [64], found [128]"},
      {"norm_not_finite",
       [](Pieces& f) {
         const float nan = NAN;
         std::memcpy(f.data[f.index("output_norm.weight")].data() + 8, &nan, sizeof nan);
       },
       "output_norm.weight: expected finite values"},
      {"one_bias_missing", [](Pieces& f) { f.erase("blk.0.attn_k.bias"); }, "blk.0.attn_k.bias is missing"},
      {"layers_more", [](Pieces& f) { f.set("qwen2.block_count", number(3)); }, "expected 13 elements"},
      {"layers_fewer", [](Pieces& f) { f.set("qwen2.block_count", number(1)); }, "expected 5 elements"},
      {"width_other", [](Pieces& f) { f.set("qwen2.embedding_length", number(96)); },
       "token_embd.pack: expected shape"},
      {"width_odd", [](Pieces& f) { f.set("qwen2.embedding_length", number(65)); },
       "expected a multiple of 32"},
      {"mlp_width_largest", [](Pieces& f) { f.set("qwen2.feed_forward_length", number(1 << 17)); },
       "ffn_gate_up.pack: expected shape"},
      {"heads_other", [](Pieces& f) { f.set("qwen2.attention.head_count", number(8)); },
       "attn_qkv.pack: expected shape"},
      {"head_dim_none", [](Pieces& f) { f.set("qwen2.attention.key_length", number(0)); }, "key_length"},
  };
  return files;
}

class MalformedPackTest : public testing::TestWithParam<Malformed> {};

void PrintTo(const Malformed& malformed, std::ostream* stream) {
  *stream << malformed.name;
}

std::string refusal(const std::string& path) {
  ThreadPool pool(1);
  try {
    load(path, kernels(), pool);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadFile) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(path));
    return error.what();
  }
  return "accepted";
}

void write_good_file(const TemporaryDirectory& directory, const std::string& path) {
  ThreadPool pool(1);
  const TestModel model = small_model();
  model.write(directory.file("plain.gguf"), gguf::TensorType::kQ8_0, model.metadata());
  pack(directory.file("plain.gguf"), path, kernels(), pool);
}

TEST_P(MalformedPackTest, IsRefused) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("packed.gguf");
  write_good_file(directory, path);
  Pieces pieces(path);
  GetParam().change(pieces);
  pieces.write(path);
  EXPECT_THAT(refusal(path), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(Kinds, MalformedPackTest, testing::ValuesIn(malformed_files()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(PackedFile, UnchangedPiecesAreAccepted) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("packed.gguf");
  write_good_file(directory, path);
  Pieces(path).write(path);
  EXPECT_EQ(refusal(path), "accepted");
}

TEST(PackedFile, CutFilesAreRefused) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("packed.gguf");
  write_good_file(directory, path);
  const std::string good = read_bytes(path);
  const uint64_t last_tensor_end = [&] {
    const gguf::Reader file(path);
    uint64_t end = 0;
    for (const auto& tensor : file.tensors()) end = std::max(end, tensor.offset + tensor.bytes);
    return end;
  }();
  for (const size_t left : {size_t{0}, size_t{3}, size_t{100}, size_t{1000}, size_t{4096}, good.size() / 2,
                            size_t{last_tensor_end - 1}}) {
    write_bytes(path, good.substr(0, left));
    EXPECT_NE(refusal(path), "accepted") << left;
  }
}

TEST(PackedFile, WrongPlacesAreRefused) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("packed.gguf");
  write_good_file(directory, path);
  const std::string good = read_bytes(path);
  // A tensor's offset follows its name, 4 bytes of dimensions, 8 bytes each, and 4 bytes of type.
  const std::string name = "blk.1.ffn_down.pack";
  const size_t at = good.find(name) + name.size() + 4 + 2 * 8 + 4;
  uint64_t offset = 0;
  std::memcpy(&offset, good.data() + at, sizeof offset);
  for (const uint64_t wrong : {offset + 1, offset + 64, offset - 4096, uint64_t{0}, uint64_t{1} << 40,
                               UINT64_MAX, UINT64_MAX - 4095, offset + 4096}) {
    std::string bytes = good;
    std::memcpy(bytes.data() + at, &wrong, sizeof wrong);
    write_bytes(path, bytes);
    EXPECT_NE(refusal(path), "accepted") << wrong;
  }
}

TEST(WritePacked, RefusesWhatMakesNoSense) {
  const TemporaryDirectory directory;
  const std::string plain = directory.file("plain.gguf");
  const std::string packed = directory.file("packed.gguf");
  ThreadPool pool(1);
  write_good_file(directory, packed);
  const auto message = [&](const std::string& in, const std::string& out,
                           const std::function<bool()>& should_stop = {}) -> std::string {
    try {
      write_packed(gguf::Reader(in), kernels(), out, pool, {}, should_stop);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  const std::string before = read_bytes(plain);
  EXPECT_THAT(message(plain, plain), HasSubstr("the output is the input"));
  EXPECT_EQ(read_bytes(plain), before);
  EXPECT_THAT(message(packed, directory.file("out.gguf")), HasSubstr("is packed already"));
  EXPECT_THAT(message(plain, directory.file("out.gguf"), [] { return true; }), HasSubstr("interrupted"));
  EXPECT_FALSE(std::filesystem::exists(directory.file("out.gguf")));
  TestModel broken = small_model();
  broken.values["blk.0.ffn_up.weight"][3] = INFINITY;
  broken.write(plain, gguf::TensorType::kF32, broken.metadata());
  EXPECT_THAT(message(plain, directory.file("out.gguf")), HasSubstr("ffn_up.weight: expected finite values"));
  broken = small_model();
  broken.shapes.erase("blk.1.ffn_norm.weight");
  broken.write(plain, gguf::TensorType::kF32, broken.metadata());
  EXPECT_THAT(message(plain, directory.file("out.gguf")), HasSubstr("blk.1.ffn_norm.weight is missing"));
  broken = small_model();
  broken.shapes.erase("blk.1.attn_k.bias");
  broken.write(plain, gguf::TensorType::kF32, broken.metadata());
  EXPECT_THAT(message(plain, directory.file("out.gguf")), HasSubstr("blk.1.attn_k.bias is missing"));
  broken = TestModel();
  broken.rope_factors.assign(16, 0.0F);
  broken.make(1);
  broken.write(plain, gguf::TensorType::kF32, broken.metadata());
  EXPECT_THAT(message(plain, directory.file("out.gguf")),
              HasSubstr("rope_freqs.weight: expected values above 0, found 0"));
  EXPECT_FALSE(std::filesystem::exists(directory.file("out.gguf")));
}

}  // namespace
}  // namespace stonechat
