// The inner loops of the engine as tables of function pointers, one table an instruction set.
//
// What must change together (the layout of packed weights, of prepared activations, and the loop over both)
// is one group. A table may leave a group empty; dispatch.cc then keeps that of the next lower instruction
// set that needs nothing else. This header includes C headers only, because files compiled for newer
// processors include it.
//
// Every function states its arithmetic exactly: which operations, in which order, each rounded to FP32 on its
// own, fma() with one rounding. So all tables give equal bits, whatever their vectors' width, and so do all
// numbers of threads and all ways to cut a prompt into batches (docs/decisions/0001-equal-bits.md). "Equal"
// is meant for finite numbers; what NaN and infinity give isn't defined, but never a crash.
//
// All functions are noexcept and check nothing in release builds. Pointers to packs, prepared activations and
// scratch are aligned to 64 bytes, others to their element. Buffers don't overlap unless a function says so.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace stonechat {

// How the weights of a matrix are stored; what a GGUF tensor of that type holds, row after row
// (quant/block_formats.h). kWeightQ8Row: 8-bit rows with a scale and a mean each (RowHeaderQ8, then the
// codes).
enum WeightFormat { kWeightF32, kWeightF16, kWeightBf16, kWeightQ8_0, kWeightQ8Row, kWeightQ4_0 };
inline constexpr int kWeightFormats = 6;

// Activations that share a scale in products with codes, and weights in Q8_0 and Q4_0.
inline constexpr uint32_t kBlock = 32;
inline constexpr uint32_t kKeyTile = 32;  // keys that lie transposed together in the cache
inline constexpr uint32_t kKeyStep = 64;  // keys that softmax takes at once: two tiles

// Activations of some tokens, and of some columns, to be put into the layout that a product reads.
struct PrepareJob {
  const float* x;  // x[(token - first_token) * x_stride + (col - first_col)]
  size_t x_stride;
  uint32_t cols;         // of all activations
  uint32_t first_col;    // multiple of 32
  uint32_t end_col;      // multiple of 32
  uint32_t first_token;  // multiple of tile_tokens
  uint32_t end_token;    // multiple of tile_tokens, or the number of tokens
  void* prepared;        // activations of the whole batch, all columns
};

// One piece of out = weights x activations + bias, for rows [first_row, end_row) and tokens [first_token,
// end_token).
struct LinearJob {
  const void* weights;      // pack of the whole matrix
  const void* activations;  // prepared activations of the whole batch
  uint32_t cols;            // multiple of 32
  uint32_t first_row;       // multiple of tile_rows
  uint32_t end_row;         // multiple of tile_rows, or the number of rows
  uint32_t first_token;     // multiple of tile_tokens
  uint32_t end_token;       // multiple of tile_tokens, or the number of tokens
  const float* bias;        // one a row (index from row 0), or null
  float* out;               // out[(token - first_token) * out_stride + (row - first_row)]
  size_t out_stride;
  bool add_to_out;  // out += instead of out =
};

// The product with a matrix of one WeightFormat. For each output:
//   F32, F16, BF16   acc = 0; for col = 0, 1, ...: acc = fma(float(w[col]), x[col], acc)
//   Q8_0, Q4_0       acc = 0; for block = 0, 1, ...: acc = fma(float(sum of code_w x code_x), d_w * d_x, acc)
//                    where the sum is an exact integer, d_w is the block's binary16 scale as float, code_w of
//                    Q4_0 is nibble - 8, and (prepare) a = max |x| of 32 values; d_x = a / 127; code_x =
//                    to-nearest-even(x * (127 / a)); a <= 1e-30 gives d_x = 0 and codes 0
//   Q8Row            sum = 0; for block = 0, 1, ...: sum = fma(float(sum of code_w x code_x), d_x, sum)
//                    xs = 0; for block = 0, 1, ...: xs = fma(float(sum of code_x), d_x, xs)
//                    acc = sum * scale where the row's mean is 0, else fma(mean, xs, sum * scale)
//                    with d_x and code_x as for Q8_0: the means' part costs a product a row, not one a weight
// then out = acc (+ bias if any), or out = out + (acc + bias if any).
struct LinearKernels {
  uint32_t tile_rows;    // rows packed together
  uint32_t tile_tokens;  // tokens prepared together
  // Bytes that a tile takes, a multiple of 64. A pack is ceil(rows / tile_rows) tiles.
  size_t (*tile_bytes)(uint32_t cols) noexcept;
  // Packs `rows` <= tile_rows rows, stored one after another as in the file, into one tile; missing rows
  // become 0.
  void (*pack_tile)(const void* source, uint32_t rows, uint32_t cols, void* tile) noexcept;
  // The weights of one row of a pack as floats: the look-up in a tied embedding. Q8_0, Q4_0: d_w * code_w;
  // Q8Row: mean + scale * code_w, each rounded on its own.
  void (*unpack_row)(const void* pack, uint32_t row, uint32_t cols, float* out) noexcept;
  // Bytes of the prepared activations of a batch, a multiple of 64.
  size_t (*prepared_bytes)(uint32_t tokens, uint32_t cols) noexcept;
  // Jobs for disjoint ranges of tokens or columns may run at once.
  void (*prepare)(const PrepareJob* job) noexcept;
  void (*multiply)(const LinearJob* job) noexcept;
};

// How the keys or the values of a head are cached: as floats, or as codes of 8 or 16 bits with one scale a
// position.
enum CacheFormat { kCacheF32, kCacheF16, kCacheQ16, kCacheQ8 };

inline constexpr bool has_codes(CacheFormat format) {
  return format == kCacheQ16 || format == kCacheQ8;
}
inline constexpr uint32_t number_bytes(CacheFormat format) {
  if (format == kCacheF32) return sizeof(float);
  return format == kCacheQ8 ? sizeof(int8_t) : sizeof(int16_t);
}

// One head's keys or values. Memory up to the next multiple of 64 positions is readable and finite. With D =
// head_dim, key j's dimension d is at
//   floats             [(j / 32 * D + d) * 32 + j % 32]
//   codes of 8 bits    [(j / 32 * D + d / 4 * 4) * 32 + j % 32 * 4 + d % 4]
//   codes of 16 bits   [(j / 32 * D + d / 2 * 2) * 32 + j % 32 * 2 + d % 2]
// and value j's dimension d at
//   floats             [j * D + d]
//   codes of 8 bits    [(j / 4 * D + d) * 4 + j % 4]
//   codes of 16 bits   [(j / 2 * D + d) * 2 + j % 2]
// Codes of 16 bits are those of VectorKernels::to_norm_codes (keys), or up to kWordCodes (values).
struct CachedHead {
  CacheFormat format;
  const void* data;
  const float* scales;  // of codes: the number is code * scales[j]; null for floats
};

inline constexpr uint32_t kKeyShift = 256;  // keys that share a shift

// Causal attention of some tokens' query heads that share one key/value head.
struct AttentionJob {
  // Query of token t, head h of the group: queries + t * query_stride + h * head_dim; outputs likewise.
  const float* queries;
  size_t query_stride;
  uint32_t group_heads;
  uint32_t head_dim;     // multiple of 32, at most 256
  uint32_t first_token;  // tokens [first_token, end_token) of the batch
  uint32_t end_token;
  uint32_t first_position;  // token t sees the keys 0 .. first_position + t
  CachedHead keys;
  CachedHead values;
  // What key j lacks, shifts[j / 256 * head_dim + d], as far as it differs from what key 0 lacks; or null.
  const float* shifts;
  float scale;
  float* out;
  size_t out_stride;
  float* scratch;  // AttentionKernels::scratch_bytes(head_dim), for this call alone
};

// For each query q, with m = -infinity, l = 0, acc[] = 0, for each 64 keys of which one is visible:
//   s[j] = fma(dot[j], f[j], c), -infinity where j isn't visible
//   m' = max(m, max s); r = exp2(m - m') (0 at first); p[j] = exp2(s[j] - m'), exactly 0 where not
//   visible; l = fma(l, r, tree(p)), m = m'
//   acc[d] = fma(acc[d], r, what these values add)
// and out[d] = acc[d] / l. With e = scale * log2(e), so that scores are powers of two. tree() of 64 values:
// halves added until one is left, p[i] + p[i + 32], then 16, 8, 4, 2, 1.
// exp2(x), x <= 0: 0 if x < -125; n = to-nearest-even(x); r = x - n; p = kExp2Coefficients[0]; for i = 1 ..
// 5: p = fma(p, r, c[i]); exp2 = p * 2^n (exact).
//   Keys as floats: f[j] = e; for d = 0, 1, ...: dot = fma(q[d], key[j][d], dot).
//   Keys as codes: dot[j] = float(exact sum of code_q[d] * code[j][d]); f[j] = (d_q * e) * scales[j].
//   For keys of 8 bits, with a = max |q|: d_q = a / 16256; code_q = to-nearest-even(q * (16256 / a));
//   a <= 1e-30 gives 0 for all. For keys of 16 bits code_q and d_q are those of to_norm_codes.
//   c = tree() of 16 sums t[d % 16] = fma(q[d], shift[d], t[d % 16]), times e; 0 without shifts.
//   Values as floats add t: t = 0; for j = 0, 1, ... while visible: t = fma(p[j], value[j][d], t).
//   Values as codes: b = w * max scales[j], over the visible ones of the 64, at least 1e-30; w = exp2(max s -
//   m') for values of 8 bits and L = 16256; for those of 16 bits the larger of it and tree(p) / 2, and L =
//   32512. code_p = to-nearest-even((p[j] * scales[j]) * (L / b)); they add float(exact sum of code_p[j] *
//   code[j][d]) * (b / L).
// 16256 = 127 * 128, 32512 = 127 * 256: a code is two digits, each for a product of 8-bit integers.
// No sum of products of 16-bit codes leaves 32 bits: codes of keys and of queries have a norm of 32512 and
// at most 8 of rounding each, and 32520^2 < 2^31; codes of weights come to at most 2 * 32512 and 32 of
// rounding, and 65056 * 32512 < 2^31.
struct AttentionKernels {
  size_t (*scratch_bytes)(uint32_t head_dim) noexcept;
  void (*attend)(const AttentionJob* job) noexcept;
};

inline constexpr float kFineCodes = 16256;  // largest code of queries and weights for codes of 8 bits
// Of 16 bits: the norm of a key or query, the largest code of values and of their weights.
inline constexpr float kWordCodes = 32512;
inline constexpr float kLeastWeight = 1e-30F;  // b of the above is at least this

// Element-wise and row-wise steps. `count` and `cols` are multiples of 16.
//
// exp(x) of silu: 0 if x < -87; x = min(x, 88); n = to-nearest-even(x * log2(e));
// r = fma(n, -kLn2High, x); r = fma(n, -kLn2Low, r); p = kExpCoefficients[0]; for i = 1 .. 7: p = fma(p, r,
// c[i]); exp = p * 2^n (exact: n is -126 .. 127).
struct VectorKernels {
  // Sum of squares: 16 partial sums, p[i % 16] = fma(x[i], x[i], p[i % 16]), then halves added as in tree().
  // scale = 1 / sqrt(sum / cols + epsilon); out[i] = (x[i] * scale) * weight[i]. out may be x. Where the sum
  // overflows it is that of x[i] * kNormShrink, and scale = kNormShrink / sqrt(sum / cols).
  void (*rms_norm)(const float* x, const float* weight, float epsilon, uint32_t cols, float* out) noexcept;
  // Rotates `heads` heads of head_dim (a multiple of 32) in place. With a = x[i], b = x[i + head_dim / 2]:
  // x[i] = a * cosine[i] - b * sine[i]; x[i + head_dim / 2] = b * cosine[i] + a * sine[i]; no fma.
  void (*rope)(float* x, uint32_t heads, uint32_t head_dim, const float* cosine, const float* sine) noexcept;
  // The Walsh-Hadamard transform of each run of n numbers of each head, in place, where n is the largest
  // power of two that divides head_dim (a multiple of 32, at most 256): for stride = 1, 2, 4, .. n / 2, for
  // the pairs (a, b) at i and i + stride where i has no bit `stride`: (a + b, a - b). It scales products of
  // two vectors by n and spreads what is large in few dimensions over all of them.
  void (*hadamard)(float* x, uint32_t heads, uint32_t head_dim) noexcept;
  // gate_up holds 32 gates, then their 32 ups, then the next 32 gates, and so on: 2 * count floats.
  // out[i] = (gate[i] / (1 + exp(-gate[i]))) * up[i], for count (a multiple of 32) outputs.
  void (*silu_multiply)(const float* gate_up, uint32_t count, float* out) noexcept;
  // Binary16, to nearest even; overflow gives infinity.
  void (*to_half)(const float* x, uint32_t count, uint16_t* out) noexcept;
  // Codes of 16 bits whose norm is kWordCodes; returns their scale. a = max |x|; u[i] = x[i] * (1 / a);
  // n = sqrt(tree() of 16 sums t[i % 16] = fma(u[i], u[i], t[i % 16])); codes[i] =
  // to-nearest-even(u[i] * (32512 / n)), at most 32512 + 1 in magnitude; scale = a * (n / 32512);
  // a <= 1e-30 gives scale 0 and codes 0.
  float (*to_norm_codes)(const float* x, uint32_t count, int16_t* codes) noexcept;
};

// Rows [first_row, end_row) of y = A x, where A has one scale for the whole tensor (symmetric: zero is code
// 0).
struct TensorScaleJob {
  const int8_t* codes;  // codes[row * cols + col]; A[row][col] means scale * code
  float scale;
  const float* x;  // (cols)
  float* y;        // y[row], index from row 0
  uint32_t cols;   // any number
  uint32_t first_row;
  uint32_t end_row;
};

// Algorithm 1 of the paper that this project started from: int8 weights times FP32 activations, kept to
// compare with the products above (docs/performance/formats.md). For each row:
//   acc[0 .. 3] = 0; for col = 0, 1, ...: acc[col % 4] = fma(float(code), x[col], acc[col % 4])
//   y[row] = ((acc[0] + acc[1]) + (acc[2] + acc[3])) * scale
struct TensorScaleKernels {
  void (*gemv_f32_f32_q8t)(const TensorScaleJob* job) noexcept;
};
// Loops that do one thing as fast as the instruction set can, for one thread: the limits that speeds are
// compared with. Their results let the compiler leave nothing out, and tests see that all was done.
struct LimitKernels {
  // Multiplies and adds with the instructions of the table's Q8_0 products, from registers (scalar: from
  // the first-level cache). Returns the multiply-adds done, a multiple of `passes`; *sum is the sum of as
  // many products a * b, modulo 2^32. a is 0 .. 127, b is -127 .. 127.
  uint64_t (*integer_products)(uint64_t passes, int8_t a, int8_t b, uint32_t* sum) noexcept;
  // As above with acc = fma(a, b, acc), acc = 0 at first, `passes` times in each of several accumulators;
  // *sum is the sum of the accumulators.
  uint64_t (*float_products)(uint64_t passes, float a, float b, float* sum) noexcept;
  // Reads memory in several streams, as products of one token do, asking for lines `ahead` bytes before it
  // needs them; 0: leaves that to the processor. Returns the sum of its 32-bit words, modulo 2^32. `data` is
  // aligned to 64 bytes, `bytes` is a multiple of kReadStep.
  uint32_t (*read)(const void* data, size_t bytes, size_t ahead) noexcept;
};
inline constexpr size_t kReadStep = 512;

// 2^-80: even the squares of the largest floats are then far from overflow.
inline constexpr float kNormShrink = 0x1p-80F;

// n of VectorKernels::hadamard.
inline constexpr uint32_t hadamard_run(uint32_t head_dim) {
  return head_dim & (~head_dim + 1);
}

// 1.5 x 2^23: a float below 2^22 added to it is rounded to the nearest even integer, which the low bits of
// the sum then hold; subtracting it again leaves that integer as a float. Its own 9 low bits are 0: moved up
// by 23 places the sum is that integer where a float has its exponent.
inline constexpr float kRounder = 0x1.8p23F;

inline constexpr float kLog2E = 0x1.715476p+0F;
inline constexpr float kLn2High = 0x1.62e4p-1F;  // 15 bits, so that n x kLn2High is exact
inline constexpr float kLn2Low = 0x1.7f7d1cp-20F;
// 1/7!, 1/6!, ..., 1/1!, 1/0!: over |r| <= ln(2) / 2 the rest of the series is below 6e-9 of the result.
inline constexpr float kExpCoefficients[8] = {0x1.a01a02p-13F, 0x1.6c16c2p-10F, 0x1.111112p-7F,
                                              0x1.555556p-5F,  0x1.555556p-3F,  0x1p-1F,
                                              0x1p+0F,         0x1p+0F};
// 2^r over |r| <= 1/2, off by at most 9.2e-8 of it (1.7e-7 as computed) and exactly 1 at 0: our own fit, by
// iterated least squares (Lawson's) at Chebyshev's points.
inline constexpr float kExp2Coefficients[6] = {0x1.5bba14p-10F, 0x1.3cea88p-7F, 0x1.c6b752p-5F,
                                               0x1.ebf9bcp-3F,  0x1.62e42ap-1F, 0x1p+0F};

// A null group is that of the next lower table that needs nothing else.
struct KernelTable {
  const char* name;                             // "avx2"
  uint32_t needs;                               // CpuFeature bits (base/cpu_feature_bits.h), all of them
  const LinearKernels* linear[kWeightFormats];  // by WeightFormat
  const AttentionKernels* attention;
  const VectorKernels* vector;
  const TensorScaleKernels* tensor_scale;
  const LimitKernels* limits;
};

}  // namespace stonechat
