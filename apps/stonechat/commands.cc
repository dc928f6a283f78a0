#include "commands.h"

namespace stonechat {

void add_commands(CLI::App&) {}

std::string version_text() {
  return "stonechat " STONECHAT_VERSION;
}

}  // namespace stonechat
