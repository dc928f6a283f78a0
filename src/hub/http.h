// One HTTP exchange at a time, by libcurl. Redirects are left to the caller, who knows what may be sent
// where.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace stonechat {

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;  // at most kMostBodyBytes; of a 2xx answer only when no sink was given

  std::string header(const std::string& name) const;  // empty when absent
  bool is_redirect() const;
};

struct HttpRequest {
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  bool head = false;
  // Gets the body of a 2xx answer as it comes; may throw, which ends the transfer.
  std::function<void(const HttpResponse& so_far, std::span<const std::byte>)> sink;
  std::function<bool()> should_stop;
};

inline constexpr size_t kMostBodyBytes = size_t{16} << 20;

// Error{kNetwork} naming the host when the connection fails, breaks, or stalls for a minute;
// Error{kInterrupted}.
HttpResponse http_exchange(const HttpRequest& request);

// "https://host:port" of a URL, to compare who gets a token.
std::string origin_of(const std::string& url);
// `location` seen from `base`.
std::string resolve_location(const std::string& base, const std::string& location);
// Percent-encodes all but letters, digits, "-._~" and "/".
std::string encode_path(const std::string& path);

}  // namespace stonechat
