// What `Dots` of neon_attention.h have in common that multiply bytes: a code is two digits of 8 bits whose
// products are summed apart, high * 128 + low for codes of 8 bits in the cache, high * 256 + low for those of
// 16, which are two such digits themselves.
//
// Included by neon*.cc only.
#pragma once

#include "kernels/neon_attention.h"

namespace stonechat::neon {

// Sums of products with high and low digits become whole: (high << kBits) + low, below those that are there
// already where kGoesOn.
template <int kBits, bool kGoesOn>
struct JoinSums {
  static void put(int32_t* out, int32x4_t high, int32x4_t low) {
    int32x4_t sum = vaddq_s32(vshlq_n_s32(high, kBits), low);
    if constexpr (kGoesOn) sum = vaddq_s32(vshlq_n_s32(vld1q_s32(out), kBits), sum);
    vst1q_s32(out, sum);
  }
};

// The high digits of eight codes, then the low ones.
template <int kBits>
static inline int8x16_t digits_of(int16x8_t codes) {
  const int16x8_t high = vrshrq_n_s16(codes, kBits);
  const int16x8_t low = vsubq_s16(codes, vshlq_n_s16(high, kBits));
  return vuzp1q_s8(vreinterpretq_s8_s16(high), vreinterpretq_s8_s16(low));
}

// `Products` gives
//   put<kBits>(codes, depth, i, eight), operand()     as Dots
//   multiply_rows<count, Join>(operand, outputs, depth, codes, out)     multiply() for 1 or kRows rows
struct DigitRows {
  static constexpr uint32_t kRows = 2;  // whose sums fit the registers: 16 vectors, both digits of kOutputs
  static constexpr uint32_t kOutputs = 16;

  template <typename Products, typename Join>
  static void multiply(const void* operand, uint32_t outputs, uint32_t depth, uint32_t rows,
                       const uint8_t* codes, int32_t* out) noexcept {
    const auto* tile = static_cast<const int8_t*>(operand);
    const auto* digits = reinterpret_cast<const int8_t*>(codes);
    for (; rows >= kRows; rows -= kRows, digits += size_t{2} * kRows * depth, out += size_t{kRows} * outputs)
      Products::template multiply_rows<kRows, Join>(tile, outputs, depth, digits, out);
    if (rows == 1) Products::template multiply_rows<1, Join>(tile, outputs, depth, digits, out);
  }
};

template <typename Products>
struct WordDigits : WordCodes {
  static void put(uint8_t* codes, uint32_t depth, uint32_t i, int16x8_t eight) {
    Products::template put<8>(codes, depth, i, eight);
  }

  // The high digits as Products::operand() wants them, then the low ones.
  static const void* operand(const int16_t* tile, uint32_t outputs, uint32_t depth, void* area) {
    const size_t count = size_t{outputs} * depth;
    auto* out = static_cast<int8_t*>(area);
    int8_t* const high = out + 2 * count;
    int8_t* const low = out + 3 * count;
    // Of four outputs: depths k and k + 1, k + 2 and k + 3.
    for (uint32_t k = 0; k < depth; k += 4) {
      const int16_t* first = tile + size_t{k} * outputs;
      const int16_t* second = first + size_t{2} * outputs;
      for (uint32_t i = 0; i < 2 * outputs; i += 8) {
        const int32x4_t a = vreinterpretq_s32_s16(vld1q_s16(first + i));
        const int32x4_t b = vreinterpretq_s32_s16(vld1q_s16(second + i));
        const int16x8_t half = vdupq_n_s16(128);
        const int16x8_t two = vreinterpretq_s16_s32(vzip1q_s32(a, b));
        const int16x8_t next = vreinterpretq_s16_s32(vzip2q_s32(a, b));
        const size_t to = size_t{k} * outputs + size_t{2} * i;
        vst1q_s8(low + to, vuzp1q_s8(vreinterpretq_s8_s16(two), vreinterpretq_s8_s16(next)));
        vst1q_s8(high + to, vuzp2q_s8(vreinterpretq_s8_s16(vaddq_s16(two, half)),
                                      vreinterpretq_s8_s16(vaddq_s16(next, half))));
      }
    }
    const void* high_digits = Products::operand(high, outputs, depth, out);
    Products::operand(low, outputs, depth, out + count);
    return high_digits;
  }

  static void multiply(const void* operand, uint32_t outputs, uint32_t depth, uint32_t rows,
                       const uint8_t* codes, int32_t* out) noexcept {
    const auto* high = static_cast<const int8_t*>(operand);
    const int8_t* low = high + size_t{outputs} * depth;
    DigitRows::multiply<Products, JoinSums<8, false>>(high, outputs, depth, rows, codes, out);
    DigitRows::multiply<Products, JoinSums<8, true>>(low, outputs, depth, rows, codes, out);
  }
};

template <typename Products>
struct FineDigits : FineCodes {
  using Words = WordDigits<Products>;

  static void put(uint8_t* codes, uint32_t depth, uint32_t i, int16x8_t eight) {
    Products::template put<7>(codes, depth, i, eight);
  }
  static const void* operand(const int8_t* tile, uint32_t outputs, uint32_t depth, void* area) {
    return Products::operand(tile, outputs, depth, area);
  }
  static void multiply(const void* operand, uint32_t outputs, uint32_t depth, uint32_t rows,
                       const uint8_t* codes, int32_t* out) noexcept {
    DigitRows::multiply<Products, JoinSums<7, false>>(operand, outputs, depth, rows, codes, out);
  }
};

}  // namespace stonechat::neon
