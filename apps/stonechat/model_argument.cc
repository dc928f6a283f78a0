#include "model_argument.h"

namespace stonechat {

std::string resolve_model(const std::string& argument) {
  return argument;
}

}  // namespace stonechat
