#include "base/error.h"

#include <system_error>

namespace stonechat {
namespace {

// The control characters of ASCII, and those of Latin-1 in their UTF-8 form, 0xc2 0x80 to 0xc2 0x9f.
bool is_control(unsigned char byte, unsigned char before) {
  if (byte == '\n' || byte == '\t') return false;
  return byte < 0x20 || byte == 0x7f || (before == 0xc2 && byte >= 0x80 && byte < 0xa0);
}

}  // namespace

std::string printable(std::string_view text) {
  std::string shown;
  unsigned char before = 0;
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (is_control(byte, before)) {
      shown += fmt::format("\\x{:02x}", byte);
    } else {
      shown += character;
    }
    before = byte;
  }
  return shown;
}

std::string system_message(int error_number) {
  return std::generic_category().message(error_number);
}

}  // namespace stonechat
