// Writes a GGUF file again with tensors in other types: what `convert` and `quantize` share.
//
// Streams: a few megabytes of a tensor are in memory at a time. The result doesn't depend on the number of
// threads.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "gguf/model_source.h"
#include "gguf/writer.h"

namespace stonechat {

// One tensor of the new file.
struct RewritePlanEntry {
  std::string name;
  const gguf::TensorInfo* source = nullptr;  // values come from here
  gguf::TensorType type = gguf::TensorType::kF32;
};

struct RewritePlan {
  gguf::Metadata metadata;
  std::vector<RewritePlanEntry> tensors;
  // Of Q8_M's codes, in deviations from the mean, at most kMostRange; 0: for each tensor the one that loses
  // least.
  double range = 0;
  static constexpr double kMostRange = 100;

  std::vector<gguf::TensorSpec> specs() const;
  uint64_t predicted_bytes() const;  // of the new file
  uint64_t tensor_bytes() const;     // of its tensors
  uint64_t bytes_to_read() const;    // some types need to read a tensor more than once
  uint64_t parameters() const;
};

// What a tensor lost.
struct TensorError {
  std::string name;
  gguf::TensorType from = gguf::TensorType::kF32;
  gguf::TensorType to = gguf::TensorType::kF32;
  uint64_t bytes_before = 0;
  uint64_t bytes_after = 0;
  double relative_rms = 0;  // root of (sum of squared differences / sum of squares); 0 for a tensor of zeros
  double largest = 0;       // absolute difference
  double range = 0;         // Q8_M: of the codes, in deviations from the mean
};

using ByteProgress = std::function<void(uint64_t done, uint64_t total)>;  // bytes of tensors read

// Error{kUsage} when `out` is the file being read; Error{kIo} when the disk is too small, before any work, or
// fails; Error{kBadFile} for values that aren't finite or that the new type can't hold. `should_stop` is
// asked between pieces: Error{kInterrupted}, and no file.
std::vector<TensorError> rewrite(const gguf::ModelSource& file, const RewritePlan& plan,
                                 const std::string& out, ThreadPool& pool, const ByteProgress& progress,
                                 const std::function<bool()>& should_stop);

// general.file_type for a file whose matrices are of this type, as llama.cpp counts; types of our own have
// their own number (quant/schemes.h).
uint32_t file_type_number(gguf::TensorType type);

// Error{kBadFile} unless the file is a model of an architecture that we know.
void check_is_model(const gguf::ModelSource& file);

}  // namespace stonechat
