// The command line flags of how keys and values are cached.
#pragma once

#include <string>

#include "command_line.h"
#include "model/kv_cache.h"

namespace stonechat {

// Adds --PREFIXcache-type-k and --PREFIXcache-type-v; `what` says whose cache it is.
void add_cache_flags(Command& command, CacheFormats& formats, const std::string& prefix = "",
                     const std::string& what = "");

// Error{kUsage} naming the flag.
CacheFormat parse_cache_format(const std::string& flag, const std::string& text);

}  // namespace stonechat
