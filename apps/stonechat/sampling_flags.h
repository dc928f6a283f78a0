// The command line flags of sampling and stopping, shared by `run` and `chat`.
#pragma once

#include <optional>

#include "command_line.h"
#include "engine/session.h"

namespace stonechat {

struct SamplingFlags {
  GenerateOptions options;
  bool greedy = false;
  std::optional<uint64_t> seed;

  void add(Command& command);
  // The options after parsing: a seed is drawn where none was given.
  GenerateOptions resolve() const;
};

}  // namespace stonechat
