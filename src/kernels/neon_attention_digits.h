// What `Dots` of neon_attention.h have in common that multiply bytes: a code is two digits of 8 bits whose
// products are summed apart, high * 128 + low for codes of 8 bits in the cache, high * 256 + low for those of
// 16, which are two such digits themselves.
//
// Included by neon*.cc only.
#pragma once

#include "kernels/neon_attention.h"

namespace stonechat::neon {

// Sums of products with high and with low digits become whole.
template <int kBits>
static inline int32x4_t join(int32x4_t high, int32x4_t low) {
  return vaddq_s32(vshlq_n_s32(high, kBits), low);
}

// The high digits of eight codes, then the low ones.
template <int kBits>
static inline int8x16_t digits_of(int16x8_t codes) {
  const int16x8_t high = vrshrq_n_s16(codes, kBits);
  const int16x8_t low = vsubq_s16(codes, vshlq_n_s16(high, kBits));
  return vuzp1q_s8(vreinterpretq_s8_s16(high), vreinterpretq_s8_s16(low));
}

// `Products` gives
//   put<kBits>(codes, depth, i, eight), operand()     as Dots
//   multiply_rows<count>(operand, outputs, depth, codes, use)     use(row, output, high sums, low sums) of 1
//                                                                 or kRows rows, four outputs at once
struct DigitRows {
  static constexpr uint32_t kRows = 2;  // whose sums fit the registers: 16 vectors, both digits of kOutputs
  static constexpr uint32_t kOutputs = 16;

  template <typename Products, typename Use>
  [[gnu::always_inline]] static void multiply(const void* operand, uint32_t outputs, uint32_t depth,
                                              uint32_t rows, const uint8_t* codes, Use&& use) noexcept {
    const auto* tile = static_cast<const int8_t*>(operand);
    const auto* digits = reinterpret_cast<const int8_t*>(codes);
    for_vectors<kRows>(rows, [&]<uint32_t kCount>(uint32_t first) {
      Products::template multiply_rows<kCount>(tile, outputs, depth, digits + size_t{2} * first * depth,
                                               [&](uint32_t r, uint32_t output, int32x4_t high,
                                                   int32x4_t low) { use(first + r, output, high, low); });
    });
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

  template <typename Use>
  static void multiply(const void* operand, uint32_t outputs, uint32_t depth, uint32_t rows,
                       const uint8_t* codes, int32_t* dots, Use&& use) noexcept {
    const auto* high_digits = static_cast<const int8_t*>(operand);
    DigitRows::multiply<Products>(high_digits, outputs, depth, rows, codes,
                                  [&](uint32_t row, uint32_t output, int32x4_t high, int32x4_t low) {
                                    vst1q_s32(dots + size_t{row} * outputs + output, join<8>(high, low));
                                  });
    DigitRows::multiply<Products>(high_digits + size_t{outputs} * depth, outputs, depth, rows, codes,
                                  [&](uint32_t row, uint32_t output, int32x4_t high, int32x4_t low) {
                                    const int32x4_t dot = vld1q_s32(dots + size_t{row} * outputs + output);
                                    use(row, output, join<8>(dot, join<8>(high, low)));
                                  });
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
  template <typename Use>
  static void multiply(const void* operand, uint32_t outputs, uint32_t depth, uint32_t rows,
                       const uint8_t* codes, int32_t*, Use&& use) noexcept {
    DigitRows::multiply<Products>(operand, outputs, depth, rows, codes,
                                  [&](uint32_t row, uint32_t output, int32x4_t high, int32x4_t low) {
                                    use(row, output, join<7>(high, low));
                                  });
  }
};

}  // namespace stonechat::neon
