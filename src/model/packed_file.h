// Packed model files: a GGUF file whose matrices are packs of one table of kernels, mapped instead of read.
//
// docs/packed-format.md has every byte; docs/decisions/0005-packed-files.md the reasons. The file is taken to
// be hostile: names, shapes, sizes and places are checked before a pack is used; what the packs' bytes are
// doesn't matter to memory safety. Errors: Error{kBadFile} naming file, field, expected, found, and how to
// make a file that fits where this one was made for other kernels.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "base/thread_pool.h"
#include "gguf/reader.h"
#include "kernels/kernel_table.h"
#include "model/config.h"
#include "model/packed_matrix.h"
#include "model/tensor_shelf.h"

namespace stonechat {

bool is_packed(const gguf::Metadata& metadata);

// What a packed file says about itself and the file that it was made from.
struct PackedInfo {
  std::string isa;  // name of the table of kernels
  uint64_t parameters = 0;
  std::string source_type;    // the type of most parameters, "Q8_0"
  uint64_t source_bytes = 0;  // of the tensors

  static PackedInfo from(const gguf::Metadata& metadata);
};

// Refuses a file that these kernels don't run, before any of its tensors is looked at.
void check_packed_for(const gguf::Metadata& metadata, const KernelTable& kernels);

// The formats of a packed file's matrices, in the order of all_stack_plans().
std::vector<WeightFormat> packed_formats(const gguf::Metadata& metadata, size_t matrices);

class PackedFile {
 public:
  // Checks everything that concerns matrices, takes their tensors from the shelf, maps the file and brings it
  // into memory with all threads.
  PackedFile(const gguf::Reader& file, const ModelConfig& config, const KernelTable& kernels,
             TensorShelf& shelf, ThreadPool& pool);

  bool has_head() const { return has_head_; }
  PackedMatrix matrix(const StackPlan& plan) const;

 private:
  struct Place {
    WeightFormat format;
    uint64_t offset;
    uint64_t bytes;
  };
  const KernelTable& kernels_;
  bool has_head_;
  std::map<std::string, Place> places_;
  std::shared_ptr<const MappedFile> mapped_;
};

// A digest of how these kernels lay out these stacks: made-up values are packed by the code that packs a
// model, and the bytes hashed. Files with another digest can't be read by this program. `formats` are those
// of the plans.
std::string layout_fingerprint(std::span<const StackPlan> plans, std::span<const WeightFormat> formats,
                               uint32_t head_dim, const KernelTable& kernels);

using PackProgress = std::function<void(uint64_t done, uint64_t total)>;  // bytes of packs written

// Writes `out` for the kernels. Error{kUsage} when `out` is the file being read or that is packed already;
// Error{kIo} when the disk is too small, before any work, or fails; Error{kBadFile} as Weights::load().
// `should_stop` is asked between pieces: Error{kInterrupted}, and no file. Returns the bytes written.
uint64_t write_packed(const gguf::Reader& file, const KernelTable& kernels, const std::string& out,
                      ThreadPool& pool, const PackProgress& progress,
                      const std::function<bool()>& should_stop);

}  // namespace stonechat
