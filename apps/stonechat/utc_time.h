// When something was measured, as outputs tell it.
#pragma once

#include <string>

namespace stonechat {

// ISO 8601: "2026-11-26T04:33:04Z".
std::string utc_now();

}  // namespace stonechat
