// Command line flags of how to run a model, shared by the commands.
#pragma once

#include <cstdint>

#include "base/thread_pool.h"
#include "command_line.h"
#include "model/kv_cache.h"

namespace stonechat {

struct RunFlags {
  uint32_t threads = 0;  // 0: what usable_processors() says
  uint32_t context = 0;  // 0: the default of context_for()
  uint32_t batch = 0;    // tokens a pass of a prompt; 0: what the tuning says
  CacheFormats cache;    // of keys and values
  bool no_tune = false;  // leaves out what `stonechat tune` stored

  void add_threads(Command& command);
  void add_context(Command& command);
  void add_batch(Command& command);
  void add_no_tune(Command& command);
  uint32_t thread_count() const { return threads != 0 ? threads : usable_processors(); }
};

// Threads that a user may ask for: `-t` beyond this is a typing error.
inline constexpr uint32_t kMostThreads = 1024;

}  // namespace stonechat
