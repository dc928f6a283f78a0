// A model as its publisher gives it: a directory with config.json, tokenizer.json and safetensors, read as if
// it were a GGUF file.
//
// Metadata and tensors have the names, values and order that llama.cpp's converter gives them, and the stored
// types of the safetensors (F32, F16, BF16). tokenizer_config.json, generation_config.json,
// chat_template.jinja or chat_template.json, and the head of README.md are read where they are there; shards
// by model.safetensors.index.json. All files may be hostile. Tensor data is read on demand. Thread safety and
// errors as in gguf/model_source.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gguf/model_source.h"
#include "publisher/config.h"
#include "safetensors/reader.h"

namespace stonechat {

class PublisherModel : public gguf::ModelSource {
 public:
  explicit PublisherModel(const std::string& directory);

  const std::string& path() const override { return directory_; }
  const gguf::Metadata& metadata() const override { return metadata_; }
  const std::vector<gguf::TensorInfo>& tensors() const override { return tensors_; }
  const gguf::TensorInfo* find_tensor(std::string_view name) const override;
  // `tensor` is one of tensors().
  void read_rows(const gguf::TensorInfo& tensor, uint64_t first_row, uint64_t rows,
                 std::span<std::byte> destination) const override;
  bool reads_from(const std::string& path) const override;

  // Sentences about what was left out.
  const std::vector<std::string>& notices() const { return notices_; }

 private:
  // Where the data of a tensor comes from; in the order of tensors_.
  struct Origin {
    const safetensors::Reader* file = nullptr;  // null: the values below
    const safetensors::Tensor* tensor = nullptr;
    uint64_t head_rows = 0;  // not 0: rows of a head, to be reordered (tensor_roles.h)
    std::vector<float> values;
  };

  std::string file(const std::string& name) const;
  Json read_json(const std::string& name);
  bool has(const std::string& name) const;
  void open_safetensors();
  void open_shards();
  void add_tensors(const PublisherConfig& config);
  void read_metadata(const PublisherConfig& config, const JsonFields& config_fields);
  void read_units(const Origin& origin, uint64_t unit_bytes, uint64_t first, uint64_t count,
                  std::span<std::byte> destination) const;

  std::string directory_;
  std::vector<std::string> files_;  // those read
  std::vector<std::unique_ptr<safetensors::Reader>> shards_;
  gguf::Metadata metadata_;
  std::vector<gguf::TensorInfo> tensors_;
  std::vector<Origin> origins_;
  std::vector<std::string> notices_;
};

}  // namespace stonechat
