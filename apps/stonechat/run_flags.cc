#include "run_flags.h"

#include "cache_flags.h"

namespace stonechat {

void RunFlags::add_threads(Command& command) {
  command.add_option("-t,--threads", threads, "Threads (default: the processors that this process may use)")
      ->check(Range(1U, kMostThreads));
}

void RunFlags::add_context(Command& command) {
  command
      .add_option("-c,--context", context,
                  "Tokens of context, prompt and answer together (default: up to 4096)")
      ->check(Range(1U, 1U << 27));
  add_batch(command);
  add_cache_flags(command, cache);
}

void RunFlags::add_batch(Command& command) {
  command.add_option("-b,--batch", batch, "Tokens of a prompt computed together (default: 256, or as tuned)")
      ->check(Range(1U, 1U << 16));
}

void RunFlags::add_no_tune(Command& command) {
  command.add_flag("--no-tune", no_tune, "Leave out what 'stonechat tune' stored");
}

}  // namespace stonechat
