// The most memory that this process has held.
#pragma once

#include <cstdint>

namespace stonechat {

// Peak resident set size in bytes.
uint64_t peak_resident_bytes();

}  // namespace stonechat
