// Whether a run fits into memory: told before its model is loaded.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/memory_room.h"
#include "gguf/reader.h"
#include "kernels/kernel_table.h"
#include "model/config.h"
#include "model/memory_estimate.h"

namespace stonechat {

// estimate_memory() with the tokenizer.
MemoryEstimate estimate_run(const gguf::Reader& file, const ModelConfig& config, const KernelTable& kernels,
                            const RunShape& shape);

// What a command will do with a model.
struct RunNeed {
  RunShape shape;
  bool fills_cache = true;  // false: a cache of shape.tokens is there, but the run may end long before
  uint64_t besides = 0;     // bytes that the command takes besides, for another model
};

// Error{kLimit} when the room is too small, with both numbers, what they are made of, and what would fit: a
// shorter context, a cache of 8 bits, weights of a smaller type. Where only a full cache wouldn't fit, and
// the run may not fill it, that is no error: `notice` is told. The pages of a packed file count as nothing,
// as the system can give them up and read them again.
void check_room(const gguf::Reader& file, const ModelConfig& config, const KernelTable& kernels,
                const RunNeed& need, const MemoryRoom& room,
                const std::function<void(const std::string&)>& notice);

}  // namespace stonechat
