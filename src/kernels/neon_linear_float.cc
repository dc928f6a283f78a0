// Products with F32, F16 and BF16 weights.
//
// A tile is 16 rows (float_packs.h). F16 and BF16 weights are widened to FP32 a piece of the tile at a time,
// once for many tokens.
#include "kernels/float_packs.h"
#include "kernels/neon_product.h"
#include "kernels/weight_streams.h"

namespace stonechat::neon {
namespace {

constexpr uint32_t kTileRows = kProductRows;
constexpr uint32_t kTokensAtOnce = 64;  // whose activations stay in the second-level cache
constexpr uint32_t kColsAtOnce = 128;   // of a tile, whose widened weights stay in the first-level cache

struct F32 {
  using Stored = uint32_t;
  static float32x4x4_t load(const Stored* weights) {
    const auto* floats = reinterpret_cast<const float*>(weights);
    return {{vld1q_f32(floats), vld1q_f32(floats + 4), vld1q_f32(floats + 8), vld1q_f32(floats + 12)}};
  }
  static float widen(Stored weight) {
    float value;
    memcpy(&value, &weight, sizeof value);
    return value;
  }
};
struct F16 {
  using Stored = uint16_t;
  // The upper four: moved to where a float has its sign, exponent and mantissa they are a power of two off,
  // which the product puts right exactly, subnormal numbers too; infinity and NaN, which weights aren't,
  // become finite. Takes both vector units, where a conversion takes one of them twice.
  static float32x4_t widen_high(uint16x8_t halves) {
    const uint32x4_t moved = vreinterpretq_u32_s32(vshll_high_n_s16(vreinterpretq_s16_u16(halves), 13));
    const uint32x4_t cleared = vandq_u32(moved, vdupq_n_u32(0x8fffffff));  // copies of the sign
    return vmulq_n_f32(vreinterpretq_f32_u32(cleared), 0x1p112F);
  }
  static float32x4x4_t load(const Stored* weights) {
    const float16x8_t low = load_halves(weights);
    const uint16x8_t high = vld1q_u16(weights + 8);
    return {{vcvt_f32_f16(vget_low_f16(low)), vcvt_high_f32_f16(low),
             vcvt_f32_f16(vget_low_f16(vreinterpretq_f16_u16(high))), widen_high(high)}};
  }
  static float widen(Stored weight) { return widen_half(weight); }
};
struct Bf16 {
  using Stored = uint16_t;
  static float32x4x4_t load(const Stored* weights) {
    const uint16x8_t low = vld1q_u16(weights);
    const uint16x8_t high = vld1q_u16(weights + 8);
    return {{vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(low), 16)),
             vreinterpretq_f32_u32(vshll_high_n_u16(low, 16)),
             vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(high), 16)),
             vreinterpretq_f32_u32(vshll_high_n_u16(high, 16))}};
  }
  static float widen(Stored weight) { return F32::widen(static_cast<uint32_t>(weight) << 16); }
};

template <typename Format>
using Tiles = FloatTiles<Format, kTileRows>;

// One token with kStreams tiles, `apart` tiles from each other. Memory is all that binds, so lines are asked
// for ahead of need.
template <typename Format, uint32_t kStreams>
void multiply_one_token(const LinearJob* job, uint32_t tile, uint32_t apart) noexcept {
  constexpr uint32_t kColumnBytes = kTileRows * sizeof(typename Format::Stored);
  const float* x = static_cast<const float*>(job->activations) + size_t{job->first_token} * job->cols;
  const auto* column = Tiles<Format>::tile_of(job->weights, tile * kTileRows, job->cols);
  const size_t weights_apart = size_t{apart} * kTileRows * job->cols;
  float32x4_t sum[kStreams][4];
#pragma GCC unroll 2
  for (uint32_t i = 0; i < kStreams; ++i) {
#pragma GCC unroll 4
    for (uint32_t r = 0; r < 4; ++r) sum[i][r] = vdupq_n_f32(0);
  }
  for (uint32_t col = 0; col < job->cols; col += 2, column += 2 * kTileRows) {
#pragma GCC unroll 2
    for (uint32_t i = 0; i < kStreams; ++i) {
      const auto* weights = column + i * weights_apart;
#pragma GCC unroll 2
      for (uint32_t line = 0; line < 2 * kColumnBytes; line += 64) {
        __builtin_prefetch(reinterpret_cast<const char*>(weights) + line + kPrefetchBytes);
      }
#pragma GCC unroll 2
      for (uint32_t c = 0; c < 2; ++c, weights += kTileRows) {
        const float32x4x4_t four = Format::load(weights);
#pragma GCC unroll 4
        for (uint32_t r = 0; r < 4; ++r) sum[i][r] = vfmaq_n_f32(sum[i][r], four.val[r], x[col + c]);
      }
    }
  }
#pragma GCC unroll 2
  for (uint32_t i = 0; i < kStreams; ++i) {
    const uint32_t row = (tile + i * apart) * kTileRows;
#pragma GCC unroll 4
    for (uint32_t r = 0; r < 4; ++r) store_outputs(job, job->first_token, row + r * kLanes, sum[i][r]);
  }
}

// Columns [first_col, first_col + count) of a tile as floats: the tile's own, or widened into `buffer`.
template <typename Format>
const float* widened(const typename Format::Stored* tile, uint32_t first_col, uint32_t count,
                     float* buffer) noexcept {
  const auto* weights = tile + size_t{first_col} * kTileRows;
  if constexpr (sizeof(typename Format::Stored) == sizeof(float)) {
    return reinterpret_cast<const float*>(weights);
  } else {
    for (uint32_t col = 0; col < count; ++col) {
      const float32x4x4_t column = Format::load(weights + col * kTileRows);
#pragma GCC unroll 4
      for (uint32_t r = 0; r < 4; ++r) vst1q_f32(buffer + col * kTileRows + r * kLanes, column.val[r]);
    }
    return buffer;
  }
}

// Tokens [first, end), at most kTokensAtOnce, with the tile of `row`.
template <typename Format>
void multiply_tile(const LinearJob* job, uint32_t row, uint32_t first, uint32_t end) noexcept {
  alignas(64) float sums[kTokensAtOnce * kTileRows];
  alignas(64) float buffer[kColsAtOnce * kTileRows];
  memset(sums, 0, size_t{end - first} * kTileRows * sizeof(float));
  const auto* tile = Tiles<Format>::tile_of(job->weights, row, job->cols);
  const float* x = static_cast<const float*>(job->activations) + size_t{first} * job->cols;
  for (uint32_t col = 0; col < job->cols; col += kColsAtOnce) {
    const uint32_t count = job->cols - col < kColsAtOnce ? job->cols - col : kColsAtOnce;
    const float* weights = widened<Format>(tile, col, count, buffer);
    for_vectors<kProductVectors>(end - first, [&]<uint32_t kVectors>(uint32_t t) {
      float* const out = sums + size_t{t} * kTileRows;
      multiply_vectors<kVectors>(
          weights, kTileRows, x + size_t{t} * job->cols + col, job->cols, count,
          [&](uint32_t v, uint32_t i) { return vld1q_f32(out + v * kTileRows + i); },
          [&](uint32_t v, uint32_t i, float32x4_t sum) { vst1q_f32(out + v * kTileRows + i, sum); });
    });
  }
  for (uint32_t t = 0; t < end - first; ++t) {
    for (uint32_t r = 0; r < kTileRows && row + r < job->end_row; r += kLanes) {
      store_outputs(job, first + t, row + r, vld1q_f32(sums + t * kTileRows + r));
    }
  }
}

template <typename Format>
void multiply(const LinearJob* job) noexcept {
  if (job->end_token - job->first_token == 1) {
    for_job_in_streams<kMostStreams<kLanes>, kTileRows>(
        *job, [&]<uint32_t kStreams>(uint32_t tile, uint32_t apart) {
          multiply_one_token<Format, kStreams>(job, tile, apart);
        });
    return;
  }
  for (uint32_t first = job->first_token; first < job->end_token; first += kTokensAtOnce) {
    const uint32_t end = job->end_token - first < kTokensAtOnce ? job->end_token : first + kTokensAtOnce;
    for (uint32_t row = job->first_row; row < job->end_row; row += kTileRows) {
      multiply_tile<Format>(job, row, first, end);
    }
  }
}

template <typename Format>
constexpr LinearKernels kernels_of() {
  return {kTileRows,
          1,
          Tiles<Format>::tile_bytes,
          Tiles<Format>::pack_tile,
          Tiles<Format>::unpack_row,
          FloatActivations::prepared_bytes,
          FloatActivations::prepare,
          multiply<Format>};
}

}  // namespace

constinit const LinearKernels kF32Linear = kernels_of<F32>();
constinit const LinearKernels kF16Linear = kernels_of<F16>();
constinit const LinearKernels kBf16Linear = kernels_of<Bf16>();

}  // namespace stonechat::neon
