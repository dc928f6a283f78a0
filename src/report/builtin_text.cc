#include "report/builtin_text.h"

#include "report/builtin_text_content.h"

namespace stonechat {

std::string_view builtin_text() {
  return kBuiltinText;
}

}  // namespace stonechat
