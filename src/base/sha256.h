// SHA-256 (FIPS 180-4), fed in pieces. Uses the processor's SHA instructions on x86 where there are any.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace stonechat {

class Sha256 {
 public:
  void update(std::span<const std::byte> bytes);
  // 64 lower-case hexadecimal digits. Call once, last.
  std::string hex_digest();

 private:
  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> block_{};  // the input not yet a whole block
  uint64_t total_bytes_ = 0;
};

std::string sha256_of_text(std::string_view text);

// Of a whole file. Throws Error{kIo} naming the path.
std::string sha256_of_file(const std::string& path);

}  // namespace stonechat
