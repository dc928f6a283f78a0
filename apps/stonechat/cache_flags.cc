#include "cache_flags.h"

#include <fmt/format.h>

#include "base/error.h"

namespace stonechat {

CacheFormat parse_cache_format(const std::string& flag, const std::string& text) {
  const auto format = cache_format_from_name(text);
  if (!format) fail(ErrorKind::kUsage, "{}: expected {}, got '{}'", flag, kCacheFormatList, text);
  return *format;
}

void add_cache_flags(Command& command, CacheFormats& formats, const std::string& prefix,
                     const std::string& what) {
  const auto add = [&](const std::string& letter, const std::string& kind, CacheFormat& format) {
    const std::string flag = "--" + prefix + "cache-type-" + letter;
    const std::string short_form = prefix.empty() ? "; also -ct" + letter : "";
    command.add_option_function(
        flag, [flag, &format](const std::string& text) { format = parse_cache_format(flag, text); },
        fmt::format("Type of cached {}{}: {} (default: {}){}", kind, what, kCacheFormatList,
                    name(kDefaultCache), short_form));
  };
  add("k", "keys", formats.keys);
  add("v", "values", formats.values);
}

}  // namespace stonechat
