#include "base/error.h"

#include <system_error>

namespace stonechat {

std::string system_message(int error_number) {
  return std::generic_category().message(error_number);
}

}  // namespace stonechat
