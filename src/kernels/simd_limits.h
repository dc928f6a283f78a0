// The loops of LimitKernels, for any width of vectors. `Operations` gives:
//
//   Floats, Integers   vectors of FP32 sums and of 32-bit sums; Integers of the very type that the product's
//                      builtin takes: GCC 12 copies what it must convert from one turn of a loop to the next
//   Codes              vector of operands of one integer product
//   kProducts          multiply-adds of one add_products()
//   kIntegerSums       sums that hide the latency of add_products(), and leave it registers for its steps
//   kFloatSums         the same of fma()
//   codes(value), broadcast(value)
//   add_products(sum, a, b), fma(a, b, sum)
//   hide(codes), hide(floats)    makes the compiler forget what a register holds
//
// Without hide() the compiler would see that all sums are the same, and keep one.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/kernel_table.h"
#include "kernels/weight_streams.h"

namespace stonechat {

template <typename Operations>
class SimdLimits {
 public:
  static constexpr LimitKernels kernels() { return {integer_products, float_products, read}; }

 private:
  using Floats = typename Operations::Floats;
  using Integers = typename Operations::Integers;
  using Codes = typename Operations::Codes;
  using Words [[gnu::vector_size(sizeof(Integers))]] = uint32_t;
  static constexpr uint32_t kLanes = sizeof(Integers) / 4;
  static constexpr uint32_t kReadSums = 8;
  static constexpr size_t kReadParts = 4;

  static uint64_t integer_products(uint64_t passes, int8_t a, int8_t b, uint32_t* sum) noexcept {
    Codes left = Operations::codes(a);
    const Codes right = Operations::codes(b);
    Integers sums[Operations::kIntegerSums] = {};
    for (uint64_t pass = 0; pass < passes; ++pass) {
#pragma GCC unroll 32
      for (uint32_t i = 0; i < Operations::kIntegerSums; ++i) {
        Operations::hide(left);
        sums[i] = Operations::add_products(sums[i], left, right);
      }
    }
    uint32_t total = 0;
#pragma GCC unroll 32
    for (uint32_t i = 0; i < Operations::kIntegerSums; ++i) total += sum_of(sums[i]);
    *sum = total;
    return passes * Operations::kIntegerSums * Operations::kProducts;
  }

  static uint64_t float_products(uint64_t passes, float a, float b, float* sum) noexcept {
    Floats left = Operations::broadcast(a);
    const Floats right = Operations::broadcast(b);
    Floats sums[Operations::kFloatSums] = {};
    for (uint64_t pass = 0; pass < passes; ++pass) {
#pragma GCC unroll 32
      for (uint32_t i = 0; i < Operations::kFloatSums; ++i) {
        Operations::hide(left);
        sums[i] = Operations::fma(left, right, sums[i]);
      }
    }
    float total = 0;
#pragma GCC unroll 32
    for (uint32_t i = 0; i < Operations::kFloatSums; ++i) {
      float lanes[kLanes];
      memcpy(lanes, &sums[i], sizeof lanes);
      for (uint32_t lane = 0; lane < kLanes; ++lane) total += lanes[lane];
    }
    *sum = total;
    return passes * Operations::kFloatSums * kLanes;
  }

  // In parts side by side, as products of one token read weights (weight_streams.h).
  static uint32_t read(const void* data, size_t bytes, size_t ahead) noexcept {
    return ahead == 0 ? read_all<false>(data, bytes, 0) : read_all<true>(data, bytes, ahead);
  }

  template <bool kAsks>
  static uint32_t read_all(const void* data, size_t bytes, size_t ahead) noexcept {
    const auto* const begin = static_cast<const uint8_t*>(data);
    const uint8_t* const end = begin + bytes;
    const size_t part = bytes / kReadParts / kReadStep * kReadStep;
    Words sums[kReadSums] = {};
    for (const uint8_t* at = begin; at < begin + part; at += kReadStep) {
      for (size_t i = 0; i < kReadParts; ++i) add_words<kAsks>(at + i * part, ahead, sums);
    }
    for (const uint8_t* at = begin + kReadParts * part; at < end; at += kReadStep)
      add_words<kAsks>(at, ahead, sums);
    uint32_t total = 0;
#pragma GCC unroll 8
    for (uint32_t i = 0; i < kReadSums; ++i) total += sum_of(sums[i]);
    return total;
  }

  template <bool kAsks>
  [[gnu::always_inline]] static void add_words(const uint8_t* at, size_t ahead,
                                               Words (&sums)[kReadSums]) noexcept {
    if constexpr (kAsks) {
#pragma GCC unroll 8
      for (size_t byte = 0; byte < kReadStep; byte += 64)
        __builtin_prefetch(at + ahead + byte, 0, kSecondLevel);
    }
#pragma GCC unroll 32
    for (size_t i = 0; i < kReadStep / sizeof(Integers); ++i) {
      Words words;
      memcpy(&words, at + i * sizeof words, sizeof words);
      sums[i % kReadSums] += words;
    }
  }

  template <typename Sums>
  static uint32_t sum_of(Sums sum) noexcept {
    uint32_t lanes[kLanes];
    memcpy(lanes, &sum, sizeof lanes);
    uint32_t total = 0;
    for (uint32_t lane = 0; lane < kLanes; ++lane) total += lanes[lane];
    return total;
  }
};

}  // namespace stonechat
