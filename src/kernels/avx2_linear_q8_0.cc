// Q8_0 products by 16-bit multiplication: VPMADDWD adds two products of 16-bit numbers, which is exact.
//
// A tile is 8 rows: first the blocks' scales, 8 binary16 numbers a block (padded to 64 bytes), then the
// codes, 256 bytes a block: 16 vectors of 16 bytes, each two consecutive columns of the 8 rows. They are
// widened to 16 bits as they are read, once for all tokens that share the registers.
//
// A prepared token is its codes in 16 bits, then one scale a block.
#include <string.h>

#include "kernels/avx2_parts.h"

namespace stonechat::avx2 {
namespace {

constexpr uint32_t kTileRows = 8;
constexpr uint32_t kBlockCodes = kTileRows * kBlock;
constexpr uint32_t kMostTokens =
    6;  // that share a tile's registers: 6 sums, 6 block sums, weights, a product
constexpr uint32_t kTokensAtOnce = 48;  // whose activations stay in the second-level cache
constexpr uint32_t kBlocksAtOnce = 32;  // of a tile, whose weights stay in the first-level cache
constexpr uint32_t kPrefetchBytes = 2048;
constexpr size_t kStoredBlockBytes = 34;

constexpr size_t round_up_64(size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

size_t scales_bytes(uint32_t cols) noexcept {
  return round_up_64(size_t{cols} / kBlock * kTileRows * 2);
}

size_t tile_bytes(uint32_t cols) noexcept {
  return scales_bytes(cols) + size_t{cols} * kTileRows;
}

size_t token_bytes(uint32_t cols) noexcept {
  return round_up_64(size_t{cols} * 2 + size_t{cols} / kBlock * 4);
}

void pack_tile(const void* source, uint32_t rows, uint32_t cols, void* tile) noexcept {
  const uint32_t blocks = cols / kBlock;
  auto* scales = static_cast<uint16_t*>(tile);
  uint8_t* codes = static_cast<uint8_t*>(tile) + scales_bytes(cols);
  memset(tile, 0, tile_bytes(cols));
  for (uint32_t row = 0; row < rows; ++row) {
    const uint8_t* stored = static_cast<const uint8_t*>(source) + size_t{row} * blocks * kStoredBlockBytes;
    for (uint32_t block = 0; block < blocks; ++block, stored += kStoredBlockBytes) {
      memcpy(&scales[block * kTileRows + row], stored, 2);
      for (uint32_t pair = 0; pair < kBlock / 2; ++pair) {
        memcpy(codes + size_t{block} * kBlockCodes + pair * 16 + row * 2, stored + 2 + 2 * pair, 2);
      }
    }
  }
}

void unpack_row(const void* pack, uint32_t row, uint32_t cols, float* out) noexcept {
  const uint8_t* tile = static_cast<const uint8_t*>(pack) + row / kTileRows * tile_bytes(cols);
  const auto* scales = reinterpret_cast<const uint16_t*>(tile);
  const auto* codes = reinterpret_cast<const int8_t*>(tile + scales_bytes(cols));
  const uint32_t lane = row % kTileRows;
  for (uint32_t block = 0; block < cols / kBlock; ++block) {
    const float scale = _cvtsh_ss(scales[block * kTileRows + lane]);
    for (uint32_t i = 0; i < kBlock; ++i) {
      out[block * kBlock + i] =
          scale * static_cast<float>(codes[size_t{block} * kBlockCodes + i / 2 * 16 + lane * 2 + i % 2]);
    }
  }
}

size_t prepared_bytes(uint32_t tokens, uint32_t cols) noexcept {
  return tokens * token_bytes(cols);
}

void prepare(const float* x, size_t x_stride, uint32_t cols, uint32_t first_token, uint32_t end_token,
             void* prepared) noexcept {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  for (uint32_t token = first_token; token < end_token; ++token) {
    auto* codes = reinterpret_cast<int16_t*>(static_cast<uint8_t*>(prepared) + token * token_bytes(cols));
    auto* scales = reinterpret_cast<float*>(codes + cols);
    const float* values = x + token * x_stride;
    for (uint32_t block = 0; block < cols / kBlock; ++block, values += kBlock, codes += kBlock) {
      __m256 part[4];
      __m256 largest_parts = _mm256_setzero_ps();
      for (uint32_t i = 0; i < 4; ++i) {
        part[i] = _mm256_loadu_ps(values + i * Simd::kLanes);
        largest_parts = _mm256_max_ps(largest_parts, _mm256_andnot_ps(sign, part[i]));
      }
      const float largest = Simd::largest(largest_parts);
      const bool is_zero = largest <= 1e-30F;
      scales[block] = is_zero ? 0.0F : largest / 127.0F;
      const __m256 inverse = _mm256_set1_ps(is_zero ? 0.0F : 127.0F / largest);
      for (uint32_t i = 0; i < 4; ++i) {
        const __m256i wide = _mm256_cvtps_epi32(_mm256_mul_ps(part[i], inverse));
        const __m128i narrow =
            _mm_packs_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + i * Simd::kLanes), narrow);
      }
    }
  }
}

// The prepared form of one token.
struct Token {
  const int16_t* codes;
  const float* scales;
};

Token token_of(const LinearJob* job, uint32_t token) noexcept {
  const auto* codes = reinterpret_cast<const int16_t*>(static_cast<const uint8_t*>(job->activations) +
                                                       token * token_bytes(job->cols));
  return {codes, reinterpret_cast<const float*>(codes + job->cols)};
}

inline __m256i broadcast_pair(const int16_t* codes) {
  int32_t pair;
  memcpy(&pair, codes, 4);
  return _mm256_set1_epi32(pair);
}

inline __m256i widened(const uint8_t* codes) {
  return _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(codes)));
}

// Adds blocks [first_block, end_block) of a tile to the sums of kTokens tokens; sums[token * 8 + row].
template <uint32_t kTokens>
void add_blocks(const uint8_t* tile, uint32_t cols, const Token* tokens, uint32_t first_block,
                uint32_t end_block, float* sums) noexcept {
  const uint8_t* codes = tile + scales_bytes(cols);
  __m256 sum[kTokens];
  for (uint32_t t = 0; t < kTokens; ++t) sum[t] = _mm256_load_ps(sums + t * kTileRows);
  for (uint32_t block = first_block; block < end_block; ++block) {
    const uint8_t* block_codes = codes + size_t{block} * kBlockCodes;
    if (kTokens == 1) {
      for (uint32_t line = 0; line < kBlockCodes; line += 64) {
        _mm_prefetch(reinterpret_cast<const char*>(block_codes + line + kPrefetchBytes), _MM_HINT_T0);
      }
    }
    __m256i dot[kTokens];
    for (uint32_t t = 0; t < kTokens; ++t) dot[t] = _mm256_setzero_si256();
    for (uint32_t pair = 0; pair < kBlock / 2; ++pair) {
      const __m256i weights = widened(block_codes + pair * 16);
      for (uint32_t t = 0; t < kTokens; ++t) {
        const __m256i x = broadcast_pair(tokens[t].codes + block * kBlock + pair * 2);
        dot[t] = _mm256_add_epi32(dot[t], _mm256_madd_epi16(weights, x));
      }
    }
    const __m256 weight_scales =
        _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(tile + block * kTileRows * 2)));
    for (uint32_t t = 0; t < kTokens; ++t) {
      const __m256 scale = _mm256_mul_ps(weight_scales, _mm256_set1_ps(tokens[t].scales[block]));
      sum[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[t]), scale, sum[t]);
    }
  }
  for (uint32_t t = 0; t < kTokens; ++t) _mm256_store_ps(sums + t * kTileRows, sum[t]);
}

using AddBlocks = void (*)(const uint8_t*, uint32_t, const Token*, uint32_t, uint32_t, float*) noexcept;
constexpr AddBlocks kAddBlocks[kMostTokens + 1] = {nullptr,       add_blocks<1>, add_blocks<2>, add_blocks<3>,
                                                   add_blocks<4>, add_blocks<5>, add_blocks<6>};

// Tokens [first, end), at most kTokensAtOnce, with one tile of rows.
void multiply_tile(const LinearJob* job, const Token* tokens, uint32_t row, uint32_t first,
                   uint32_t end) noexcept {
  alignas(64) float sums[kTokensAtOnce * kTileRows];
  memset(sums, 0, size_t{end - first} * kTileRows * sizeof(float));
  const uint8_t* tile = static_cast<const uint8_t*>(job->weights) + row / kTileRows * tile_bytes(job->cols);
  const uint32_t blocks = job->cols / kBlock;
  for (uint32_t block = 0; block < blocks; block += kBlocksAtOnce) {
    const uint32_t end_block = blocks - block < kBlocksAtOnce ? blocks : block + kBlocksAtOnce;
    for (uint32_t t = 0; t < end - first; t += kMostTokens) {
      const uint32_t count = end - first - t < kMostTokens ? end - first - t : kMostTokens;
      kAddBlocks[count](tile, job->cols, tokens + t, block, end_block, sums + t * kTileRows);
    }
  }
  for (uint32_t t = 0; t < end - first; ++t) {
    Simd::store_outputs(job, first + t, row, _mm256_load_ps(sums + t * kTileRows));
  }
}

void multiply(const LinearJob* job) noexcept {
  for (uint32_t first = job->first_token; first < job->end_token; first += kTokensAtOnce) {
    const uint32_t end = job->end_token - first < kTokensAtOnce ? job->end_token : first + kTokensAtOnce;
    Token tokens[kTokensAtOnce];
    for (uint32_t t = 0; t < end - first; ++t) tokens[t] = token_of(job, first + t);
    for (uint32_t row = job->first_row; row < job->end_row; row += kTileRows) {
      multiply_tile(job, tokens, row, first, end);
    }
  }
}

}  // namespace

constinit const LinearKernels kQ8_0Linear = {kTileRows,      1,       tile_bytes, pack_tile, unpack_row,
                                             prepared_bytes, prepare, multiply};

}  // namespace stonechat::avx2
