#include "publisher/publisher_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "publisher/model_card.h"
#include "publisher/model_name.h"
#include "publisher/tensor_roles.h"
#include "publisher/test_directory.h"

namespace stonechat {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<float> values_of(const PublisherModel& model, const std::string& name) {
  const gguf::TensorInfo* tensor = model.find_tensor(name);
  EXPECT_NE(tensor, nullptr) << name;
  std::vector<float> values(tensor->elements());
  model.read_rows(*tensor, 0, tensor->rows(), std::as_writable_bytes(std::span(values)));
  return values;
}

TEST(PublisherModel, HasTensorsOfGgufInTheOrderOfTheirPublishedNames) {
  const TemporaryDirectory directory;
  TestDirectory().write(directory.path());
  const PublisherModel model(directory.path());
  std::vector<std::string> names;
  for (const auto& tensor : model.tensors()) names.push_back(tensor.name);
  EXPECT_THAT(names, ElementsAre("token_embd.weight", "blk.0.attn_norm.weight", "blk.0.ffn_down.weight",
                                 "blk.0.ffn_gate.weight", "blk.0.ffn_up.weight", "blk.0.ffn_norm.weight",
                                 "blk.0.attn_k.weight", "blk.0.attn_output.weight", "blk.0.attn_q.weight",
                                 "blk.0.attn_v.weight", "output_norm.weight"));
  const gguf::TensorInfo& down = *model.find_tensor("blk.0.ffn_down.weight");
  EXPECT_THAT(down.shape, ElementsAre(TestDirectory::kMlp, TestDirectory::kWidth));  // columns first
  EXPECT_EQ(values_of(model, "blk.0.ffn_down.weight")[7], 7);
  EXPECT_EQ(model.metadata().get_string("general.architecture"), "llama");
}

TEST(PublisherModel, PutsRotatedPairsOfLlamaSideBySide) {
  EXPECT_EQ(source_row(0, 4), 0U);
  EXPECT_EQ(source_row(1, 4), 2U);
  EXPECT_EQ(source_row(2, 4), 1U);
  EXPECT_EQ(source_row(3, 4), 3U);
  EXPECT_EQ(source_row(5, 4), 6U);
  const TemporaryDirectory directory;
  TestDirectory files;
  files.add("model.layers.0.self_attn.q_proj.bias", {8});
  files.add("model.layers.0.self_attn.k_proj.bias", {4});
  files.add("model.layers.0.self_attn.v_proj.bias", {4});
  files.write(directory.path());
  const PublisherModel model(directory.path());
  EXPECT_THAT(values_of(model, "blk.0.attn_q.bias"), ElementsAre(0, 2, 1, 3, 4, 6, 5, 7));
  EXPECT_THAT(values_of(model, "blk.0.attn_k.bias"), ElementsAre(0, 2, 1, 3));
  EXPECT_THAT(values_of(model, "blk.0.attn_v.bias"), ElementsAre(0, 1, 2, 3));
  // Any range of rows, over borders of heads too, is the same as the whole.
  const std::vector<float> whole = values_of(model, "blk.0.attn_q.weight");
  EXPECT_EQ(whole[8], 16);
  const gguf::TensorInfo& query = *model.find_tensor("blk.0.attn_q.weight");
  for (uint64_t first = 0; first < 8; ++first) {
    for (uint64_t rows = 1; first + rows <= 8; ++rows) {
      std::vector<float> part(rows * 8);
      model.read_rows(query, first, rows, std::as_writable_bytes(std::span(part)));
      EXPECT_TRUE(
          std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(first * 8)));
    }
  }
}

TEST(PublisherModel, KeepsTheOrderOfQwen) {
  const TemporaryDirectory directory;
  TestDirectory files;
  files.config["architectures"] = {"Qwen2ForCausalLM"};
  files.add("model.layers.0.self_attn.q_proj.bias", {8});
  files.add("model.layers.0.self_attn.k_proj.bias", {4});
  files.add("model.layers.0.self_attn.v_proj.bias", {4});
  files.write(directory.path());
  const PublisherModel model(directory.path());
  EXPECT_THAT(values_of(model, "blk.0.attn_q.bias"), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_EQ(values_of(model, "blk.0.attn_q.weight")[8], 8);
}

TEST(PublisherModel, FillsTheVocabulary) {
  const TemporaryDirectory directory;
  TestDirectory files;
  files.config["vocab_size"] = 8;
  files.add("model.embed_tokens.weight", {8, TestDirectory::kWidth});
  files.tokenizer["model"]["vocab"]["c"] = 5;
  files.tokenizer["added_tokens"].push_back({{"id", 5}, {"content", "c"}, {"special", false}});
  files.tokenizer["added_tokens"].push_back({{"id", 7}, {"content", "\u2581x"}, {"special", false}});
  files.write(directory.path());
  const PublisherModel model(directory.path());
  const auto& tokens = model.metadata().get_strings("tokenizer.ggml.tokens");
  EXPECT_THAT(std::vector<std::string>(tokens.begin(), tokens.end()),
              ElementsAre("a", "b", "ab", "aba", "<|end|>", "c", "[PAD6]", " x"));
  EXPECT_THAT(model.metadata().get_ints("tokenizer.ggml.token_type"), ElementsAre(1, 1, 1, 1, 3, 4, 5, 4));
}

struct Hostile {
  const char* name;
  std::function<void(TestDirectory&)> change;
  const char* message;  // a part of what the error says
};

void PrintTo(const Hostile& hostile, std::ostream* stream) {
  *stream << hostile.name;
}

const std::string kUp = "model.layers.0.mlp.up_proj.weight";

// Puts one tensor into a second shard.
void split(TestDirectory& files) {
  for (const auto& [name, tensor] : files.tensors) files.shard_of[name] = "model-1.safetensors";
  files.shard_of[kUp] = "model-2.safetensors";
}

std::function<void(TestDirectory&)> config(const char* key, Json value) {
  return [=](TestDirectory& files) { files.config[key] = value; };
}

std::function<void(TestDirectory&)> file(const char* name, const char* text) {
  return [=](TestDirectory& files) { files.other_files[name] = text; };
}

std::function<void(TestDirectory&)> index(const char* tensor, Json name) {
  return [=](TestDirectory& files) {
    split(files);
    Json map = files.shard_of;
    map[tensor] = name;
    files.other_files["model.safetensors.index.json"] = Json{{"weight_map", map}}.dump();
  };
}

std::function<void(TestDirectory&)> tokenizer(const char* pointer, Json value) {
  return [=](TestDirectory& files) { files.tokenizer[Json::json_pointer(pointer)] = value; };
}

std::function<void(TestDirectory&)> token(Json entry) {
  return [=](TestDirectory& files) { files.tokenizer["added_tokens"].push_back(entry); };
}

std::vector<Hostile> hostile_directories() {
  return {
      {"config_no_json", file("config.json", "{"), "config.json: expected JSON"},
      {"config_no_object", file("config.json", "[]"), "config.json: expected a JSON object"},
      {"config_key_twice", file("config.json", R"({"a": 1, "a": 2})"), "found 'a' again"},
      {"no_architecture", config("architectures", nullptr), "architectures: expected an array, found null"},
      {"other_architecture", config("architectures", {"GemmaForCausalLM"}), "found GemmaForCausalLM"},
      {"two_architectures", config("architectures", {"LlamaForCausalLM", "Qwen2ForCausalLM"}),
       "an array of 2"},
      {"no_layers", config("num_hidden_layers", 0),
       "num_hidden_layers: expected an integer from 1 to 1024, found 0"},
      {"too_many_layers", config("num_hidden_layers", 1025), "found 1025"},
      {"more_layers_than_tensors", config("num_hidden_layers", 2),
       "tensor model.layers.1.input_layernorm.weight"},
      {"layers_a_text", config("num_hidden_layers", "1"), "found '1'"},
      {"width_negative", config("hidden_size", -8), "hidden_size: expected an integer"},
      {"width_missing", config("hidden_size", nullptr), "hidden_size: expected an integer from 1 to 131072"},
      {"width_not_of_heads", config("num_attention_heads", 3), "expected a multiple of the 3 heads"},
      {"heads_not_of_kv_heads", config("num_key_value_heads", 3), "expected a divisor of the 2 heads"},
      {"odd_heads", config("head_dim", 3), "heads of even width"},
      {"huge_vocabulary", config("vocab_size", (1 << 21) + 1),
       "vocab_size: expected an integer from 1 to 2097152"},
      {"epsilon_zero", config("rms_norm_eps", 0), "rms_norm_eps: expected a number"},
      {"another_activation", config("hidden_act", "gelu"), "hidden_act: expected silu, found 'gelu'"},
      {"quantized", config("quantization_config", {{"bits", 4}}), "quantization_config: expected nothing"},
      {"sliding_window", config("use_sliding_window", true), "use_sliding_window"},
      {"scaling_unknown", config("rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2}}),
       "found 'dynamic'"},
      {"scaling_without_factor", config("rope_scaling", {{"type", "linear"}}),
       "rope_scaling.factor: expected"},
      {"scaling_no_object", config("rope_scaling", 2), "rope_scaling: expected an object"},
      {"llama3_upside_down",
       config("rope_scaling", {{"rope_type", "llama3"},
                               {"factor", 8},
                               {"original_max_position_embeddings", 64},
                               {"low_freq_factor", 4},
                               {"high_freq_factor", 4}}),
       "more than low_freq_factor"},
      {"separate_head_missing", config("tie_word_embeddings", false), "tensor lm_head.weight is missing"},
      {"tensor_missing", [](TestDirectory& files) { files.tensors.erase(kUp); }, "up_proj.weight is missing"},
      {"tensor_unknown", [](TestDirectory& files) { files.add("model.layers.0.x.weight", {2}); },
       "tensor model.layers.0.x.weight: expected the tensors of a llama model of 1 layers"},
      {"tensor_of_a_further_layer",
       [](TestDirectory& files) {
         files.add("model.layers.1.mlp.up_proj.weight", {6, 8});
       },
       "tensor model.layers.1.mlp.up_proj.weight: expected the tensors"},
      {"tensor_turned",
       [](TestDirectory& files) {
         files.add(kUp, {8, 6});
       },
       "expected the shape [6, 8] of config.json, found [8, 6]"},
      {"tensor_of_one_dimension", [](TestDirectory& files) { files.add(kUp, {48}); }, "found [48]"},
      {"tensor_empty",
       [](TestDirectory& files) {
         files.add(kUp, {0, 8});
       },
       "found [0, 8]"},
      {"tensor_of_integers", [](TestDirectory& files) { files.tensors[kUp].type = "I32"; },
       "F16 or BF16, found I32"},
      {"biases_of_qwen_missing", config("architectures", {"Qwen2ForCausalLM"}), "k_proj.bias is missing"},
      {"weights_hostile", file("model.safetensors", "12345678{}"), "model.safetensors: header length"},
      {"no_weights",
       [](TestDirectory& files) {
         for (const auto& [name, tensor] : files.tensors) files.shard_of[name] = "other.safetensors";
         files.other_files["model.safetensors.index.json"] = "{}";
       },
       "weight_map: expected an object"},
      {"index_empty", file("model.safetensors.index.json", R"({"weight_map": {}})"),
       "weight_map: expected names"},
      {"index_leaves_the_directory", index("model.norm.weight", "../model-1.safetensors"),
       "a file beside the index"},
      {"index_with_an_absolute_path", index("model.norm.weight", "/etc/passwd"), "a file beside the index"},
      {"index_with_a_zero_byte", index("model.norm.weight", std::string("a\0b", 3)),
       "a file beside the index"},
      {"index_with_a_number", index("model.norm.weight", 1), "a file beside the index"},
      {"index_names_another_shard", index("model.norm.weight", "model-2.safetensors"),
       "model-1.safetensors: tensor model.norm.weight: expected in"},
      {"index_names_more", index("model.none.weight", "model-2.safetensors"), "model.none.weight is missing"},
      {"shard_has_more",
       [](TestDirectory& files) {
         split(files);
         SafetensorsBuilder builder;
         builder.tensor(kUp, "F32", "[6, 8]", files.tensors[kUp].data)
             .floats("model.norm.weight", "[1]", {1});
         files.other_files["model-2.safetensors"] = builder.bytes();
       },
       "model-2.safetensors: tensor model.norm.weight: expected in"},
      {"not_bpe", tokenizer("/model/type", "Unigram"), "model.type: expected BPE"},
      {"bytes_as_fallback", tokenizer("/model/byte_fallback", true), "model.byte_fallback"},
      {"prefix_of_subwords", tokenizer("/model/continuing_subword_prefix", "##"),
       "continuing_subword_prefix"},
      {"another_decoder", tokenizer("/decoder/type", "Metaspace"), "decoder.type: expected ByteLevel"},
      {"another_normalizer", tokenizer("/normalizer", {{"type", "Lowercase"}}), "normalizer.type"},
      {"pre_tokenizer_unknown", tokenizer("/pre_tokenizer/type", "Whitespace"),
       "pre_tokenizer: expected that of"},
      {"pre_tokenizer_adds_a_space", tokenizer("/pre_tokenizer/add_prefix_space", true), "add_prefix_space"},
      {"pre_tokenizer_with_another_pattern",
       tokenizer("/pre_tokenizer",
                 {{"type", "Split"}, {"pattern", {{"Regex", "x+"}}}, {"behavior", "Isolated"}}),
       "a split by 'x+'"},
      {"whole_words_first", tokenizer("/model/ignore_merges", true), "model.ignore_merges: expected false"},
      {"no_vocabulary", tokenizer("/model/vocab", nullptr), "model.vocab: expected an object"},
      {"id_beyond_the_vocabulary", tokenizer("/model/vocab/a", 6), "token 'a': expected an id below 6"},
      {"id_negative", tokenizer("/model/vocab/a", -1),
       "expected an id below 6 (vocab_size of config.json), found -1"},
      {"id_twice", tokenizer("/model/vocab/a", 1),
       "token 'b': expected an id of its own, found 1, that of 'a'"},
      {"token_that_is_no_text", tokenizer("/model/vocab/ x", 5),
       "tokenizer.json: model.vocab[5]: expected characters of the byte alphabet"},
      {"added_id_is_a_tokens", token({{"id", 1}, {"content", "<x>"}}), "expected an id of its own"},
      {"added_twice", token({{"id", 5}, {"content", "<|end|>"}}), "found '<|end|>' again"},
      {"added_without_id", token({{"content", "<x>"}}), "added_tokens.id: expected an id"},
      {"added_without_text", token({{"id", 5}}), "added_tokens.content: expected a text"},
      {"added_no_object", token(5), "added_tokens: expected objects"},
      {"merges_missing", tokenizer("/model/merges", nullptr), "model.merges: expected an array"},
      {"merge_of_three", tokenizer("/model/merges/0", {"a", "b", "c"}),
       "model.merges[0]: expected a text or two"},
      {"merge_of_unknown_tokens", tokenizer("/model/merges/0", "b b"),
       "tokenizer.json: model.merges[0]: expected tokens of the vocabulary"},
      {"merge_twice", tokenizer("/model/merges/1", "a b"), "expected each pair once"},
      {"end_beyond_the_vocabulary",
       [](TestDirectory& files) {
         files.tokenizer_config["eos_token"] = nullptr;
         files.config["eos_token_id"] = 6;
       },
       "eos_token_id: expected an integer from 0 to 5, found 6"},
      {"end_a_number", [](TestDirectory& files) { files.tokenizer_config["eos_token"] = 4; },
       "eos_token: expected"},
      {"template_a_number", [](TestDirectory& files) { files.tokenizer_config["chat_template"] = 4; },
       "chat_template: expected"},
      {"template_no_utf8", file("chat_template.jinja", "{{ x }}\xff"), "chat_template.jinja: expected UTF-8"},
      {"sampling_a_text", file("generation_config.json", R"({"top_k": "20"})"), "top_k: expected an integer"},
      {"tokenizer_too_deep",
       file("tokenizer.json",
            R"({"a":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]})"),
       "at most 32 levels"},
  };
}

class HostileDirectory : public testing::TestWithParam<Hostile> {};

TEST_P(HostileDirectory, IsRefusedWithItsReason) {
  const TemporaryDirectory directory;
  TestDirectory files;
  GetParam().change(files);
  files.write(directory.path());
  try {
    const PublisherModel model(directory.path());
    FAIL() << "not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
    EXPECT_THAT(error.what(), HasSubstr(directory.path()));
    EXPECT_THAT(error.what(), HasSubstr(GetParam().message));
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, HostileDirectory, testing::ValuesIn(hostile_directories()),
                         [](const auto& parameter) { return parameter.param.name; });

TEST(ModelCard, LinesMayEndAsOnWindows) {
  const auto card = parse_model_card("---\r\nlicense: mit\r\ntags:\r\n- chat\r\n---\r\nlicense: none\r\n");
  ASSERT_TRUE(card.contains("license") && card.contains("tags"));
  EXPECT_THAT(card.at("license").texts, ElementsAre("mit"));
  EXPECT_THAT(card.at("tags").texts, ElementsAre("chat"));
}

TEST(ModelName, TellsFamilySizeAndTuning) {
  const ModelName name = parse_model_name("HuggingFaceTB/smollm2-135M-8k-lc100k-mix1-ep2", 134515008);
  EXPECT_EQ(name.organization, "HuggingFaceTB");
  EXPECT_EQ(name.basename, "smollm2");
  EXPECT_EQ(name.size_label, "135M");
  EXPECT_EQ(name.finetune, "8k-lc100k-mix1-ep2");
  EXPECT_EQ(title_of(name.name), "Smollm2 135M 8k Lc100K Mix1 Ep2");
  const ModelName coder = parse_model_name("Qwen2.5-Coder-0.5B-Instruct-AWQ", 494032768);
  EXPECT_EQ(coder.basename, "Qwen2.5-Coder");
  EXPECT_EQ(coder.size_label, "0.5B");
  EXPECT_EQ(coder.finetune, "Instruct-AWQ");
  EXPECT_EQ(parse_model_name(std::string(kMostModelIdBytes + 1, 'x'), 0).name, "");
}

TEST(ModelName, SizesHaveTwoDigits) {
  EXPECT_EQ(size_label_of(134515008), "135M");
  EXPECT_EQ(size_label_of(494032768), "494M");
  EXPECT_EQ(size_label_of(1235814400), "1.2B");
  EXPECT_EQ(size_label_of(100), "0.10K");
}

}  // namespace
}  // namespace stonechat
