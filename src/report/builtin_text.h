// The text that reports measure on unless the user has another: data/demo_text.txt, compiled in.
#pragma once

#include <string_view>

namespace stonechat {

std::string_view builtin_text();

}  // namespace stonechat
