// Products with F32, F16 and BF16 weights, which are widened to FP32 as they are read.
//
// A tile is 16 rows, stored column by column: two vectors a column. Prepared activations are the floats
// themselves, token after token.
#include <string.h>

#include "kernels/avx2_parts.h"

namespace stonechat::avx2 {
namespace {

constexpr uint32_t kTileRows = 16;
constexpr uint32_t kMostTokens = 6;     // 12 sums, 2 weights
constexpr uint32_t kTokensAtOnce = 48;  // whose activations stay in the second-level cache
constexpr uint32_t kColsAtOnce = 256;   // of a tile, whose weights stay in the first-level cache
constexpr uint32_t kPrefetchBytes = 3072;

constexpr size_t round_up_64(size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

struct F32 {
  using Stored = uint32_t;
  static __m256 load(const Stored* weights) {
    return _mm256_load_ps(reinterpret_cast<const float*>(weights));
  }
  static float widen(Stored weight) {
    float value;
    memcpy(&value, &weight, sizeof value);
    return value;
  }
};
struct F16 {
  using Stored = uint16_t;
  static __m256 load(const Stored* weights) {
    return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(weights)));
  }
  static float widen(Stored weight) { return _cvtsh_ss(weight); }
};
struct Bf16 {
  using Stored = uint16_t;
  static __m256 load(const Stored* weights) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(weights)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
  static float widen(Stored weight) { return F32::widen(static_cast<uint32_t>(weight) << 16); }
};

template <typename Format>
size_t tile_bytes(uint32_t cols) noexcept {
  return size_t{cols} * kTileRows * sizeof(typename Format::Stored);
}

template <typename Format>
void pack_tile(const void* source, uint32_t rows, uint32_t cols, void* tile) noexcept {
  using Stored = typename Format::Stored;
  if (rows < kTileRows) memset(tile, 0, tile_bytes<Format>(cols));
  // Square pieces, so that neither side jumps over more lines than the cache holds.
  constexpr uint32_t kPiece = 16;
  for (uint32_t first = 0; first < cols; first += kPiece) {
    for (uint32_t row = 0; row < rows; ++row) {
      const auto* in = static_cast<const uint8_t*>(source) + (size_t{row} * cols + first) * sizeof(Stored);
      Stored piece[kPiece];
      memcpy(piece, in, sizeof piece);
      Stored* out = static_cast<Stored*>(tile) + size_t{first} * kTileRows + row;
      for (uint32_t i = 0; i < kPiece; ++i) out[i * kTileRows] = piece[i];
    }
  }
}

template <typename Format>
void unpack_row(const void* pack, uint32_t row, uint32_t cols, float* out) noexcept {
  const auto* tile = reinterpret_cast<const typename Format::Stored*>(
      static_cast<const uint8_t*>(pack) + row / kTileRows * tile_bytes<Format>(cols));
  for (uint32_t col = 0; col < cols; ++col)
    out[col] = Format::widen(tile[size_t{col} * kTileRows + row % kTileRows]);
}

size_t prepared_bytes(uint32_t tokens, uint32_t cols) noexcept {
  return round_up_64(size_t{tokens} * cols * sizeof(float));
}

void prepare(const float* x, size_t x_stride, uint32_t cols, uint32_t first_token, uint32_t end_token,
             void* prepared) noexcept {
  for (uint32_t token = first_token; token < end_token; ++token) {
    memcpy(static_cast<float*>(prepared) + size_t{token} * cols, x + token * x_stride, cols * sizeof(float));
  }
}

// Adds columns [first_col, end_col) of a tile to the sums of kTokens tokens; sums[token * 16 + row].
template <typename Format, uint32_t kTokens>
void add_cols(const typename Format::Stored* tile, const float* x, uint32_t cols, uint32_t first_col,
              uint32_t end_col, float* sums) noexcept {
  __m256 low[kTokens];
  __m256 high[kTokens];
  for (uint32_t t = 0; t < kTokens; ++t) {
    low[t] = _mm256_load_ps(sums + t * kTileRows);
    high[t] = _mm256_load_ps(sums + t * kTileRows + kLanes);
  }
  for (uint32_t col = first_col; col < end_col; ++col) {
    const __m256 low_weights = Format::load(tile + size_t{col} * kTileRows);
    const __m256 high_weights = Format::load(tile + size_t{col} * kTileRows + kLanes);
    for (uint32_t t = 0; t < kTokens; ++t) {
      const __m256 value = _mm256_set1_ps(x[size_t{t} * cols + col]);
      low[t] = _mm256_fmadd_ps(low_weights, value, low[t]);
      high[t] = _mm256_fmadd_ps(high_weights, value, high[t]);
    }
  }
  for (uint32_t t = 0; t < kTokens; ++t) {
    _mm256_store_ps(sums + t * kTileRows, low[t]);
    _mm256_store_ps(sums + t * kTileRows + kLanes, high[t]);
  }
}

template <typename Format>
void add_cols_of(uint32_t tokens, const typename Format::Stored* tile, const float* x, uint32_t cols,
                 uint32_t first_col, uint32_t end_col, float* sums) noexcept {
  using AddCols =
      void (*)(const typename Format::Stored*, const float*, uint32_t, uint32_t, uint32_t, float*) noexcept;
  constexpr AddCols kAddCols[kMostTokens + 1] = {
      nullptr,
      add_cols<Format, 1>,
      add_cols<Format, 2>,
      add_cols<Format, 3>,
      add_cols<Format, 4>,
      add_cols<Format, 5>,
      add_cols<Format, 6>,
  };
  kAddCols[tokens](tile, x, cols, first_col, end_col, sums);
}

// One token: memory is all that binds, so lines are asked for ahead of need.
template <typename Format>
void multiply_one_token(const LinearJob* job, uint32_t token) noexcept {
  using Stored = typename Format::Stored;
  constexpr uint32_t kColumnBytes = kTileRows * sizeof(Stored);
  const float* x = static_cast<const float*>(job->activations) + size_t{token} * job->cols;
  for (uint32_t row = job->first_row; row < job->end_row; row += kTileRows) {
    const uint8_t* weights =
        static_cast<const uint8_t*>(job->weights) + row / kTileRows * tile_bytes<Format>(job->cols);
    __m256 low = _mm256_setzero_ps();
    __m256 high = _mm256_setzero_ps();
    for (uint32_t col = 0; col < job->cols; ++col, weights += kColumnBytes) {
      for (uint32_t line = 0; line < kColumnBytes; line += 64) {
        _mm_prefetch(reinterpret_cast<const char*>(weights + line + kPrefetchBytes), _MM_HINT_T0);
      }
      const __m256 value = _mm256_set1_ps(x[col]);
      const auto* column = reinterpret_cast<const Stored*>(weights);
      low = _mm256_fmadd_ps(Format::load(column), value, low);
      high = _mm256_fmadd_ps(Format::load(column + kLanes), value, high);
    }
    store_outputs(job, token, row, low);
    store_outputs(job, token, row + kLanes, high);
  }
}

template <typename Format>
void multiply_tile(const LinearJob* job, uint32_t row, uint32_t first, uint32_t end) noexcept {
  alignas(64) float sums[kTokensAtOnce * kTileRows];
  memset(sums, 0, size_t{end - first} * kTileRows * sizeof(float));
  const auto* tile = reinterpret_cast<const typename Format::Stored*>(
      static_cast<const uint8_t*>(job->weights) + row / kTileRows * tile_bytes<Format>(job->cols));
  for (uint32_t col = 0; col < job->cols; col += kColsAtOnce) {
    const uint32_t end_col = job->cols - col < kColsAtOnce ? job->cols : col + kColsAtOnce;
    for (uint32_t t = 0; t < end - first; t += kMostTokens) {
      const uint32_t count = end - first - t < kMostTokens ? end - first - t : kMostTokens;
      const float* x = static_cast<const float*>(job->activations) + size_t{first + t} * job->cols;
      add_cols_of<Format>(count, tile, x, job->cols, col, end_col, sums + t * kTileRows);
    }
  }
  for (uint32_t t = 0; t < end - first; ++t) {
    store_outputs(job, first + t, row, _mm256_load_ps(sums + t * kTileRows));
    store_outputs(job, first + t, row + kLanes, _mm256_load_ps(sums + t * kTileRows + kLanes));
  }
}

template <typename Format>
void multiply(const LinearJob* job) noexcept {
  if (job->end_token - job->first_token == 1) return multiply_one_token<Format>(job, job->first_token);
  for (uint32_t first = job->first_token; first < job->end_token; first += kTokensAtOnce) {
    const uint32_t end = job->end_token - first < kTokensAtOnce ? job->end_token : first + kTokensAtOnce;
    for (uint32_t row = job->first_row; row < job->end_row; row += kTileRows) {
      multiply_tile<Format>(job, row, first, end);
    }
  }
}

template <typename Format>
constexpr LinearKernels kernels_of() {
  return {kTileRows,      1,       tile_bytes<Format>, pack_tile<Format>, unpack_row<Format>,
          prepared_bytes, prepare, multiply<Format>};
}

}  // namespace

constinit const LinearKernels kF32Linear = kernels_of<F32>();
constinit const LinearKernels kF16Linear = kernels_of<F16>();
constinit const LinearKernels kBf16Linear = kernels_of<Bf16>();

}  // namespace stonechat::avx2
