// Q8_0 products with VPDPBUSD, which multiplies unsigned by signed bytes.
//
// A tile is 16 rows: first the blocks' scales, 16 binary16 numbers a block (padded to 64 bytes), then the
// codes, 512 bytes a block: 8 vectors, each four consecutive columns of the 16 rows. Codes are stored with
// 128 added, so that they are unsigned; the sums start at -128 x the sum of the activations' codes, which
// makes them exact again.
//
// A prepared token is its codes, then one scale a block, then one such start a block.
#include <string.h>

#include "kernels/avx512_parts.h"

namespace stonechat::avx512 {
namespace {

constexpr uint32_t kTileRows = 16;
constexpr uint32_t kBlockCodes = kTileRows * kBlock;
constexpr uint32_t kMostTokens =
    12;  // that share a tile's registers: 12 sums, 12 block sums, weights, scales
constexpr uint32_t kTokensAtOnce = 96;  // whose activations stay in the second-level cache
constexpr uint32_t kBlocksAtOnce = 32;  // of a tile, whose weights stay in the first-level cache
constexpr uint32_t kPrefetchBytes = 3072;
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
  return round_up_64(cols + size_t{cols} / kBlock * 8);
}

void pack_tile(const void* source, uint32_t rows, uint32_t cols, void* tile) noexcept {
  const uint32_t blocks = cols / kBlock;
  auto* scales = static_cast<uint16_t*>(tile);
  uint8_t* codes = static_cast<uint8_t*>(tile) + scales_bytes(cols);
  memset(tile, 0, scales_bytes(cols));
  memset(codes, 128, size_t{cols} * kTileRows);
  for (uint32_t row = 0; row < rows; ++row) {
    const uint8_t* stored = static_cast<const uint8_t*>(source) + size_t{row} * blocks * kStoredBlockBytes;
    for (uint32_t block = 0; block < blocks; ++block, stored += kStoredBlockBytes) {
      memcpy(&scales[block * kTileRows + row], stored, 2);
      for (uint32_t quad = 0; quad < kBlock / 4; ++quad) {
        uint32_t four;
        memcpy(&four, stored + 2 + 4 * quad, 4);
        four ^= 0x80808080U;  // adds 128 to each byte
        memcpy(codes + size_t{block} * kBlockCodes + quad * 64 + row * 4, &four, 4);
      }
    }
  }
}

void unpack_row(const void* pack, uint32_t row, uint32_t cols, float* out) noexcept {
  const uint8_t* tile = static_cast<const uint8_t*>(pack) + row / kTileRows * tile_bytes(cols);
  const auto* scales = reinterpret_cast<const uint16_t*>(tile);
  const uint8_t* codes = tile + scales_bytes(cols);
  const uint32_t lane = row % kTileRows;
  for (uint32_t block = 0; block < cols / kBlock; ++block) {
    const float scale = _cvtsh_ss(scales[block * kTileRows + lane]);
    for (uint32_t i = 0; i < kBlock; ++i) {
      const int code = codes[size_t{block} * kBlockCodes + i / 4 * 64 + lane * 4 + i % 4] - 128;
      out[block * kBlock + i] = scale * static_cast<float>(code);
    }
  }
}

size_t prepared_bytes(uint32_t tokens, uint32_t cols) noexcept {
  return tokens * token_bytes(cols);
}

void prepare(const float* x, size_t x_stride, uint32_t cols, uint32_t first_token, uint32_t end_token,
             void* prepared) noexcept {
  const uint32_t blocks = cols / kBlock;
  for (uint32_t token = first_token; token < end_token; ++token) {
    auto* codes = static_cast<int8_t*>(prepared) + token * token_bytes(cols);
    auto* scales = reinterpret_cast<float*>(codes + cols);
    auto* starts = reinterpret_cast<int32_t*>(scales + blocks);
    const float* values = x + token * x_stride;
    for (uint32_t block = 0; block < blocks; ++block, values += kBlock, codes += kBlock) {
      const __m512 low = _mm512_loadu_ps(values);
      const __m512 high = _mm512_loadu_ps(values + Simd::kLanes);
      const float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(low), _mm512_abs_ps(high)));
      const bool is_zero = largest <= 1e-30F;
      scales[block] = is_zero ? 0.0F : largest / 127.0F;
      const __m512 inverse = _mm512_set1_ps(is_zero ? 0.0F : 127.0F / largest);
      const __m512i low_codes = _mm512_cvtps_epi32(_mm512_mul_ps(low, inverse));
      const __m512i high_codes = _mm512_cvtps_epi32(_mm512_mul_ps(high, inverse));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(codes), _mm512_cvtsepi32_epi8(low_codes));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + Simd::kLanes), _mm512_cvtsepi32_epi8(high_codes));
      starts[block] = -128 * _mm512_reduce_add_epi32(_mm512_add_epi32(low_codes, high_codes));
    }
  }
}

// The prepared form of one token.
struct Token {
  const int8_t* codes;
  const float* scales;
  const int32_t* starts;
};

Token token_of(const LinearJob* job, uint32_t token) noexcept {
  const auto* codes = static_cast<const int8_t*>(job->activations) + token * token_bytes(job->cols);
  const auto* scales = reinterpret_cast<const float*>(codes + job->cols);
  return {codes, scales, reinterpret_cast<const int32_t*>(scales + job->cols / kBlock)};
}

inline __m512i broadcast_four(const int8_t* codes) {
  int32_t four;
  memcpy(&four, codes, 4);
  return _mm512_set1_epi32(four);
}

// Adds blocks [first_block, end_block) of a tile to the sums of kTokens tokens; sums[token * 16 + row].
template <uint32_t kTokens>
void add_blocks(const uint8_t* tile, uint32_t cols, const Token* tokens, uint32_t first_block,
                uint32_t end_block, float* sums) noexcept {
  const uint8_t* scales = tile;
  const uint8_t* codes = tile + scales_bytes(cols);
  __m512 sum[kTokens];
  for (uint32_t t = 0; t < kTokens; ++t) sum[t] = _mm512_load_ps(sums + t * kTileRows);
  for (uint32_t block = first_block; block < end_block; ++block) {
    const uint8_t* block_codes = codes + size_t{block} * kBlockCodes;
    __m512i dot[kTokens];
    for (uint32_t t = 0; t < kTokens; ++t) dot[t] = _mm512_set1_epi32(tokens[t].starts[block]);
    for (uint32_t quad = 0; quad < kBlock / 4; ++quad) {
      const __m512i weights = _mm512_load_si512(block_codes + quad * 64);
      for (uint32_t t = 0; t < kTokens; ++t) {
        dot[t] =
            _mm512_dpbusd_epi32(dot[t], weights, broadcast_four(tokens[t].codes + block * kBlock + quad * 4));
      }
    }
    const __m512 weight_scales =
        _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(scales + block * kTileRows * 2)));
    for (uint32_t t = 0; t < kTokens; ++t) {
      const __m512 scale = _mm512_mul_ps(weight_scales, _mm512_set1_ps(tokens[t].scales[block]));
      sum[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[t]), scale, sum[t]);
    }
  }
  for (uint32_t t = 0; t < kTokens; ++t) _mm512_store_ps(sums + t * kTileRows, sum[t]);
}

using AddBlocks = void (*)(const uint8_t*, uint32_t, const Token*, uint32_t, uint32_t, float*) noexcept;
constexpr AddBlocks kAddBlocks[kMostTokens + 1] = {
    nullptr,       add_blocks<1>, add_blocks<2>, add_blocks<3>,  add_blocks<4>,  add_blocks<5>, add_blocks<6>,
    add_blocks<7>, add_blocks<8>, add_blocks<9>, add_blocks<10>, add_blocks<11>, add_blocks<12>};

// One token: weights are read once, in order; memory is all that binds, so lines are asked for ahead of need.
// Two chains of block sums, as one would wait for each product.
void multiply_one_token(const LinearJob* job, uint32_t token_index) noexcept {
  const Token token = token_of(job, token_index);
  const uint32_t blocks = job->cols / kBlock;
  const size_t bytes = tile_bytes(job->cols);
  for (uint32_t row = job->first_row; row < job->end_row; row += kTileRows) {
    const uint8_t* tile = static_cast<const uint8_t*>(job->weights) + row / kTileRows * bytes;
    const uint8_t* codes = tile + scales_bytes(job->cols);
    __m512 sum = _mm512_setzero_ps();
    for (uint32_t block = 0; block < blocks; ++block, codes += kBlockCodes) {
      __m512i even = _mm512_set1_epi32(token.starts[block]);
      __m512i odd = _mm512_setzero_si512();
      const int8_t* x = token.codes + block * kBlock;
      for (uint32_t quad = 0; quad < kBlock / 4; quad += 2) {
        _mm_prefetch(reinterpret_cast<const char*>(codes + quad * 64 + kPrefetchBytes), _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<const char*>(codes + quad * 64 + 64 + kPrefetchBytes), _MM_HINT_T0);
        even = _mm512_dpbusd_epi32(even, _mm512_load_si512(codes + quad * 64), broadcast_four(x + quad * 4));
        odd = _mm512_dpbusd_epi32(odd, _mm512_load_si512(codes + quad * 64 + 64),
                                  broadcast_four(x + quad * 4 + 4));
      }
      const __m512 weight_scales =
          _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(tile + block * kTileRows * 2)));
      const __m512 scale = _mm512_mul_ps(weight_scales, _mm512_set1_ps(token.scales[block]));
      sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(even, odd)), scale, sum);
    }
    Simd::store_outputs(job, token_index, row, sum);
  }
}

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
    Simd::store_outputs(job, first + t, row, _mm512_load_ps(sums + t * kTileRows));
  }
}

void multiply(const LinearJob* job) noexcept {
  if (job->end_token - job->first_token == 1) return multiply_one_token(job, job->first_token);
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

}  // namespace stonechat::avx512
