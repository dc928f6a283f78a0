#include <cctype>

#include <fmt/format.h>

#include "hub/http.h"

namespace stonechat {

std::string HttpResponse::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

bool HttpResponse::is_redirect() const {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string origin_of(const std::string& url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string::npos) return {};
  std::string origin = url.substr(0, url.find_first_of("/?#", scheme + 3));
  for (char& character : origin)
    character = static_cast<char>(std::tolower(static_cast<unsigned char>(character)));
  return origin;
}

std::string resolve_location(const std::string& base, const std::string& location) {
  // A query may have an address in it.
  if (location.find("://") < location.find_first_of("/?#")) return location;
  const std::string origin = origin_of(base);
  if (location.starts_with("//")) return origin.substr(0, origin.find("//")) + location;
  if (location.starts_with('/')) return origin + location;
  const std::string path = base.substr(0, base.find_first_of("?#"));
  return path.substr(0, path.rfind('/') + 1) + location;
}

std::string encode_path(const std::string& path) {
  std::string result;
  for (const char character : path) {
    const auto byte = static_cast<unsigned char>(character);
    const bool plain =
        std::isalnum(byte) != 0 || std::string_view("-._~/").find(character) != std::string_view::npos;
    result += plain ? std::string(1, character) : fmt::format("%{:02X}", byte);
  }
  return result;
}

}  // namespace stonechat
