// What --memory and --dry-run show, for the commands that run a model: memory by parts, measured and
// predicted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/memory_parts.h"
#include "command_line.h"
#include "engine/memory_need.h"
#include "eval/memory_sampler.h"

namespace stonechat {

// The flags of run and eval; bench has its own words for them.
struct MemoryFlags {
  bool measure = false;
  bool dry_run = false;

  bool wanted() const { return measure || dry_run; }
  void add(Command& command);
};

// What the program itself takes, before it has read anything of a model, and what its code will take.
struct MemoryBaseline {
  uint64_t other = 0;  // proportional share, and all code that isn't in memory yet
  uint64_t shared =
      0;  // what libraries that other processes use too add to that when it is counted whole (RSS)

  static MemoryBaseline now();
};

// As sizes in the model's file say.
struct MemoryPrediction {
  MemoryByPart parts;  // packing: while loading only, as it is gone afterwards
  uint64_t peak = 0;   // of RSS
};

// `estimate` may be of several models added together.
MemoryPrediction predict(const MemoryEstimate& estimate, const MemoryBaseline& baseline);

struct MemoryFigures {
  MemoryUse use;
  std::optional<MemoryByPart> parts;  // proportional share, at the end; absent where the system doesn't tell
  MemoryPrediction predicted;

  // Takes away memory that belongs to measuring something else: anonymous, and of no part.
  void leave_out(uint64_t bytes);
};

// Ends the sampling; what is to be measured must still be in memory.
MemoryFigures measure_memory(MemorySampler& sampler, const MemoryPrediction& predicted);

// Tables on stderr.
void print_memory(const MemoryFigures& figures);

// A table on stdout, or one JSON object.
void print_prediction(const std::string& what, const MemoryPrediction& predicted, bool json);

}  // namespace stonechat
