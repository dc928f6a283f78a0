#include "hub/environment.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace stonechat {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string first_set(const std::string& first, const std::string& otherwise) {
  return first.empty() ? otherwise : first;
}

std::string token_in(const std::string& path) {
  std::ifstream file(path);
  std::string token;
  file >> token;
  return token;
}

}  // namespace

HubEnvironment HubEnvironment::read() {
  const std::string cache =
      first_set(variable("XDG_CACHE_HOME"), first_set(variable("HOME"), "/tmp") + "/.cache");
  const std::string hf_home = first_set(variable("HF_HOME"), cache + "/huggingface");
  HubEnvironment result;
  result.endpoint = first_set(variable("HF_ENDPOINT"), "https://huggingface.co");
  while (result.endpoint.ends_with('/')) result.endpoint.pop_back();
  result.token = first_set(variable("HF_TOKEN"), token_in(hf_home + "/token"));
  result.hub_cache = first_set(variable("HF_HUB_CACHE"), hf_home + "/hub");
  result.own_cache = first_set(variable("STONECHAT_CACHE"), cache + "/stonechat");
  std::string offline = variable("HF_HUB_OFFLINE");
  std::transform(offline.begin(), offline.end(), offline.begin(), ::tolower);
  result.offline = offline == "1" || offline == "true" || offline == "yes" || offline == "on";
  return result;
}

}  // namespace stonechat
