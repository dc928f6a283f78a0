// What the environment says about caches and the hub: the variables of huggingface_hub, and ours.
#pragma once

#include <string>

namespace stonechat {

// HF_HOME is $XDG_CACHE_HOME/huggingface or ~/.cache/huggingface where it isn't set.
struct HubEnvironment {
  std::string endpoint;   // HF_ENDPOINT, or https://huggingface.co; no slash at the end
  std::string token;      // HF_TOKEN, or the content of $HF_HOME/token; may be empty
  std::string hub_cache;  // HF_HUB_CACHE, or $HF_HOME/hub
  std::string own_cache;  // STONECHAT_CACHE, or $XDG_CACHE_HOME/stonechat, or ~/.cache/stonechat
  bool offline = false;   // HF_HUB_OFFLINE is 1, true, yes or on

  static HubEnvironment read();
};

}  // namespace stonechat
