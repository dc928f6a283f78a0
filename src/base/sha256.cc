#include "base/sha256.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/input_file.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace stonechat {
namespace {

constexpr size_t kBlockBytes = 64;

alignas(16) constexpr uint32_t kRoundConstants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

uint32_t load_big_endian(const std::byte* bytes) {
  uint32_t value;
  std::memcpy(&value, bytes, sizeof value);
  return std::endian::native == std::endian::little ? __builtin_bswap32(value) : value;
}

void compress_portable(std::array<uint32_t, 8>& state, const std::byte* blocks, size_t count) {
  for (; count > 0; --count, blocks += kBlockBytes) {
    uint32_t w[64];
    for (size_t t = 0; t < 16; ++t) w[t] = load_big_endian(blocks + 4 * t);
    for (size_t t = 16; t < 64; ++t) {
      const uint32_t s0 = std::rotr(w[t - 15], 7) ^ std::rotr(w[t - 15], 18) ^ (w[t - 15] >> 3);
      const uint32_t s1 = std::rotr(w[t - 2], 17) ^ std::rotr(w[t - 2], 19) ^ (w[t - 2] >> 10);
      w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (size_t t = 0; t < 64; ++t) {
      const uint32_t sum1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
      const uint32_t t1 = h + sum1 + ((e & f) ^ (~e & g)) + kRoundConstants[t] + w[t];
      const uint32_t sum0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
      const uint32_t t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
      h = g;
      g = f;
      f = e;
      e = d + t1;
      d = c;
      c = b;
      b = a;
      a = t1 + t2;
    }
    const uint32_t worked[8] = {a, b, c, d, e, f, g, h};
    for (size_t i = 0; i < 8; ++i) state[i] += worked[i];
  }
}

#if defined(__x86_64__)

bool has_sha_instructions() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned kShaBit = 1U << 29;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & kShaBit) != 0 &&
         __builtin_cpu_supports("sse4.1") != 0;
}

// The instructions hold the eight words as two vectors, ABEF and CDGH, first word highest.
__attribute__((target("sha,sse4.1,ssse3"))) void compress_with_sha_instructions(
    std::array<uint32_t, 8>& state, const std::byte* blocks, size_t count) {
  const auto* s = state.data();
  __m128i abef = _mm_set_epi32(static_cast<int>(s[0]), static_cast<int>(s[1]), static_cast<int>(s[4]),
                               static_cast<int>(s[5]));
  __m128i cdgh = _mm_set_epi32(static_cast<int>(s[2]), static_cast<int>(s[3]), static_cast<int>(s[6]),
                               static_cast<int>(s[7]));
  const __m128i swap_bytes = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  for (; count > 0; --count, blocks += kBlockBytes) {
    const __m128i abef_before = abef;
    const __m128i cdgh_before = cdgh;
    __m128i w[4];  // the last 16 words of the message schedule
    for (size_t group = 0; group < 16; ++group) {
      __m128i& words = w[group % 4];
      if (group < 4) {
        const auto* source = reinterpret_cast<const __m128i*>(blocks + 16 * group);
        words = _mm_shuffle_epi8(_mm_loadu_si128(source), swap_bytes);
      } else {
        const __m128i& next = w[(group + 1) % 4];
        const __m128i& last_but_one = w[(group + 2) % 4];
        const __m128i& last = w[(group + 3) % 4];
        const __m128i seven_back = _mm_alignr_epi8(last, last_but_one, 4);
        words = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(words, next), seven_back), last);
      }
      const auto* constants = reinterpret_cast<const __m128i*>(kRoundConstants + 4 * group);
      const __m128i sums = _mm_add_epi32(words, _mm_load_si128(constants));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sums);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sums, 0x0e));
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  alignas(16) uint32_t out[8];
  _mm_store_si128(reinterpret_cast<__m128i*>(out), abef);
  _mm_store_si128(reinterpret_cast<__m128i*>(out + 4), cdgh);
  state = {out[3], out[2], out[7], out[6], out[1], out[0], out[5], out[4]};
}

#endif

void compress(std::array<uint32_t, 8>& state, const std::byte* blocks, size_t count) {
#if defined(__x86_64__)
  static const bool fast = has_sha_instructions();
  if (fast) return compress_with_sha_instructions(state, blocks, count);
#endif
  compress_portable(state, blocks, count);
}

}  // namespace

void Sha256::update(std::span<const std::byte> bytes) {
  const size_t held = total_bytes_ % kBlockBytes;
  total_bytes_ += bytes.size();
  if (held > 0) {
    const size_t taken = std::min(kBlockBytes - held, bytes.size());
    std::copy_n(bytes.begin(), taken, block_.begin() + static_cast<std::ptrdiff_t>(held));
    if (held + taken < kBlockBytes) return;
    compress(state_, block_.data(), 1);
    bytes = bytes.subspan(taken);
  }
  const size_t whole = bytes.size() / kBlockBytes;
  compress(state_, bytes.data(), whole);
  bytes = bytes.subspan(whole * kBlockBytes);
  std::copy(bytes.begin(), bytes.end(), block_.begin());
}

std::string Sha256::hex_digest() {
  const uint64_t total_bits = total_bytes_ * 8;
  // A one bit, zeros up to 8 bytes before the end of a block, the length.
  std::array<std::byte, kBlockBytes + 8> padding{};
  padding[0] = std::byte{0x80};
  const size_t zeros_end = 1 + (2 * kBlockBytes - 9 - total_bytes_ % kBlockBytes) % kBlockBytes;
  for (size_t i = 0; i < 8; ++i) padding[zeros_end + i] = static_cast<std::byte>(total_bits >> (56 - 8 * i));
  update(std::span(padding).first(zeros_end + 8));
  std::string digest;
  for (const uint32_t word : state_) digest += fmt::format("{:08x}", word);
  return digest;
}

std::string sha256_of_text(std::string_view text) {
  Sha256 hash;
  hash.update(std::as_bytes(std::span(text)));
  return hash.hex_digest();
}

std::string sha256_of_file(const std::string& path) {
  Sha256 hash;
  InputFile(path).read_pieces([&](std::span<const std::byte> piece) { hash.update(piece); });
  return hash.hex_digest();
}

}  // namespace stonechat
