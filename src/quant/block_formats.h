// The block formats of quantized GGUF tensors as plain structs, byte for byte as they lie in the file.
//
// Source: the GGUF specification and the `gguf` Python package (quants.py), which the tests compare with.
// d and m are binary16 bit patterns (base/half.h). Values of a block are its weights w, 0 <= i < elements.
#pragma once

#include <cstdint>

namespace stonechat {

// 32 weights, w[i] = d * codes[i].
struct BlockQ8_0 {
  uint16_t d;
  int8_t codes[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

// A row of weights, w[i] = mean + scale * code[i]: this header, then an int8 code a column. Of our own, not
// of GGUF's. Schemes with one scale a tensor repeat it in each row; those without a mean store 0.
struct RowHeaderQ8 {
  float scale;
  float mean;
};
static_assert(sizeof(RowHeaderQ8) == 8);

// 32 weights, w[i] = d * (nibble - 8); low nibbles are weights 0..15, high nibbles 16..31.
struct BlockQ4_0 {
  uint16_t d;
  uint8_t nibbles[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

// 32 weights, w[i] = d * nibble + m.
struct BlockQ4_1 {
  uint16_t d;
  uint16_t m;
  uint8_t nibbles[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

// 32 weights, w[i] = d * (nibble + 16 * bit i of high_bits - 16).
struct BlockQ5_0 {
  uint16_t d;
  uint8_t high_bits[4];
  uint8_t nibbles[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

// 32 weights, w[i] = d * (nibble + 16 * bit i of high_bits) + m.
struct BlockQ5_1 {
  uint16_t d;
  uint16_t m;
  uint8_t high_bits[4];
  uint8_t nibbles[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

// 256 weights in 8 groups of 32, w = d * scale(group) * nibble - m * minimum(group); scales and minima are 6
// bits.
struct BlockQ4_K {
  uint16_t d;
  uint16_t m;
  uint8_t scales[12];
  uint8_t nibbles[128];
};
static_assert(sizeof(BlockQ4_K) == 144);

// As Q4_K with a fifth bit a weight.
struct BlockQ5_K {
  uint16_t d;
  uint16_t m;
  uint8_t scales[12];
  uint8_t high_bits[32];
  uint8_t nibbles[128];
};
static_assert(sizeof(BlockQ5_K) == 176);

// 256 weights in 16 groups of 16, w = d * scales[group] * (6-bit code - 32).
struct BlockQ6_K {
  uint8_t low_nibbles[128];
  uint8_t high_pairs[64];
  int8_t scales[16];
  uint16_t d;
};
static_assert(sizeof(BlockQ6_K) == 210);

}  // namespace stonechat
