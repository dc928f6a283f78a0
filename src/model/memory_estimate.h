// What memory a run of a model takes, from its file's header and biases alone.
//
// Sizes are those of the buffers that loading and Executor get (memory_estimate_test.cc compares them), so
// what is predicted is what is measured, but for what no buffer of ours is: see MemoryPart::kOther.
#pragma once

#include <cstdint>

#include "base/memory_parts.h"
#include "gguf/reader.h"
#include "kernels/kernel_table.h"
#include "model/config.h"
#include "model/kv_cache.h"
#include "model/tuning.h"

namespace stonechat {

// What is run.
struct RunShape {
  uint32_t tokens = 1;       // that each sequence's cache holds at the end
  uint32_t sequences = 1;    // each with a cache
  uint64_t pass_tokens = 1;  // most that are given at once, of all sequences; the tuning cuts them
  uint32_t hidden_rows = 1;  // states kept of one call, most
  uint32_t logits_rows = 1;  // of one call, most
  uint32_t threads = 1;
  CacheFormats cache = {};
  Tuning tuning = {};
};

struct MemoryEstimate {
  // kOther: the weights' vectors and small tables, no more. kPacking: the most while loading. Without the
  // tokenizer.
  MemoryByPart parts;
  // What is in memory when the run ends.
  uint64_t running() const { return parts.total() - parts[MemoryPart::kPacking]; }
  // The most at once: loading has no cache, activations and logits yet.
  uint64_t peak() const;
};

// Of two models that are in memory together.
MemoryEstimate operator+(const MemoryEstimate& a, const MemoryEstimate& b);

// Error{kBadFile} where a packed file's list of formats, biases or factors of the rotation are broken.
MemoryEstimate estimate_memory(const gguf::Reader& file, const ModelConfig& config,
                               const KernelTable& kernels, const RunShape& shape);

// Of all packs that loading makes; 0 for a packed file. Matrices that are missing or of another shape than
// the model's, as in a broken file, count as nothing.
uint64_t packed_bytes(const gguf::Reader& file, const ModelConfig& config, const KernelTable& kernels);

}  // namespace stonechat
