// Numbers that every GGUF file begins with or leaves out, as readers and writers need them.
#pragma once

#include <cstdint>

namespace stonechat::gguf {

inline constexpr uint32_t kMagic = 0x46554747;  // "GGUF", little endian
inline constexpr uint32_t kDefaultAlignment = 32;

}  // namespace stonechat::gguf
