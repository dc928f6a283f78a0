// The files of a model in the types that a report compares.
//
// They are kept in a folder of the cache that is named by the hash of the model, so that reports share them;
// each is made when it isn't there, or when the program is newer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gguf/model_source.h"
#include "model/config.h"
#include "quant/rewrite.h"
#include "report/step_plan.h"

namespace stonechat {

class ReportModels {
 public:
  // Finds the model, or fetches it. `cache`: a directory to keep files in, or empty for the default. Writes
  // nothing there yet.
  ReportModels(const std::string& argument, const std::string& cache);

  const std::string& name() const { return name_; }      // fit for a file name: "qwen2.5-coder-0.5b"
  const std::string& sha256() const { return sha256_; }  // of the model as it was given
  const ModelConfig& config() const { return config_; }
  uint64_t parameters() const { return plan_.parameters(); }
  std::string description() const;  // "qwen2 494M"
  const std::string& folder() const { return folder_; }

  // Of a type's file, whether it is there or not. "f32" may be the model itself.
  std::string path_of(const std::string& type) const;
  uint64_t file_bytes_of(const std::string& type) const;
  uint64_t tensor_bytes_of(const std::string& type) const;

  // The steps that make the files that are missing, "f32" first. Their `inputs` is the type.
  std::vector<ReportStep> missing(const std::vector<std::string>& types) const;
  // Makes the folder. Error{kIo} naming it when the disk has no room for what those of these steps write that
  // make files.
  void prepare(const std::vector<ReportStep>& steps) const;

 private:
  RewritePlan plan_for(const std::string& type) const;
  bool is_there(const std::string& type) const;

  std::string path_;  // of the model as it was given: a file or a directory
  std::string name_;
  std::string sha256_;
  std::string folder_;
  std::unique_ptr<gguf::ModelSource> source_;  // what plan_ refers to: the F32 file where there is one
  ModelConfig config_;
  RewritePlan plan_;     // all matrices as F32
  bool is_f32_ = false;  // the model as it was given is what "f32" means
  bool tie_embeddings_ = false;
};

}  // namespace stonechat
